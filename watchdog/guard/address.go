package guard

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Address is an address of this host under which clients find the primary. The guard takes it down as it fences.
type Address struct {
	Interface int    // its index
	Prefix    int    // length of the network's part
	IP        string // 4 or 16 bytes
}

// String is how the guard is told of it.
func (a Address) String() string {
	return strconv.Itoa(a.Interface) + "/" + strconv.Itoa(a.Prefix) + "/" + hex.EncodeToString([]byte(a.IP))
}

func parseAddress(text string) (Address, error) {
	parts := strings.Split(text, "/")
	if len(parts) != 3 {
		return Address{}, fmt.Errorf("parse address %q: want index/prefix/bytes", text)
	}
	index, err := strconv.Atoi(parts[0])
	prefix, err2 := strconv.Atoi(parts[1])
	ip, err3 := hex.DecodeString(parts[2])
	if err := errors.Join(err, err2, err3); err != nil {
		return Address{}, fmt.Errorf("parse address %q: %w", text, err)
	}
	if len(ip) != 4 && len(ip) != 16 {
		return Address{}, fmt.Errorf("parse address %q: it has %d bytes", text, len(ip))
	}
	return Address{Interface: index, Prefix: prefix, IP: string(ip)}, nil
}

// answerBound is how long the kernel may take to say what became of a request.
const answerBound = 500 * time.Millisecond

// Remove takes the address down. One that is not there is no error. It touches no disk, and needs CAP_NET_ADMIN.
func (a Address) Remove() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("take address down: open netlink: %w", err)
	}
	defer unix.Close(fd)
	bound := unix.NsecToTimeval(answerBound.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &bound); err != nil {
		return fmt.Errorf("take address down: bound the wait for netlink: %w", err)
	}
	if err := unix.Sendto(fd, a.removal(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("take address down: ask netlink: %w", err)
	}
	var answer [512]byte
	n, _, err := unix.Recvfrom(fd, answer[:], 0)
	if err != nil {
		return fmt.Errorf("take address down: hear from netlink: %w", err)
	}
	if n < unix.NLMSG_HDRLEN+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return errors.New("take address down: netlink's answer is not understood")
	}
	switch errno := unix.Errno(-int32(binary.NativeEndian.Uint32(answer[unix.NLMSG_HDRLEN:]))); errno {
	case 0, unix.EADDRNOTAVAIL, unix.ENODEV: // done, not there, or the interface is not
		return nil
	default:
		return fmt.Errorf("take address down: %w", errno)
	}
}

// Rehearse goes the whole way of Remove for an interface that does not exist. It fails where the right to change addresses is
// missing.
func (a Address) Rehearse() error {
	a.Interface = 0
	return a.Remove()
}

// removal is the request: a header, which address family, and the address.
func (a Address) removal() []byte {
	family := unix.AF_INET
	if len(a.IP) == 16 {
		family = unix.AF_INET6
	}
	size := unix.NLMSG_HDRLEN + unix.SizeofIfAddrmsg + unix.SizeofRtAttr + len(a.IP)
	b := binary.NativeEndian.AppendUint32(nil, uint32(size))
	b = binary.NativeEndian.AppendUint16(b, unix.RTM_DELADDR)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	b = binary.NativeEndian.AppendUint64(b, 1) // its number, and nobody's port
	b = append(b, byte(family), byte(a.Prefix), 0, 0)
	b = binary.NativeEndian.AppendUint32(b, uint32(a.Interface))
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(a.IP)))
	b = binary.NativeEndian.AppendUint16(b, unix.IFA_LOCAL)
	return append(b, a.IP...)
}
