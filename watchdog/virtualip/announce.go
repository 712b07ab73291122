package virtualip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// announce tells the network that the address is here: whoever has it on another host's hardware address corrects that.
// Interfaces without one, such as tunnels, have nothing to tell.
func (a address) announce() error {
	if len(a.device.HardwareAddr) != 6 {
		return nil
	}
	tell := a.arp
	if a.prefix.Addr().Is6() {
		tell = a.advertise
	}
	if err := tell(); err != nil {
		return fmt.Errorf("announce %s: %w", a, err)
	}
	return nil
}

const (
	arpRequest = 1
	arpReply   = 2
)

// arp sends gratuitous ARP, both ways in which it is done: some listen to the one alone, some to the other.
func (a address) arp() error {
	protocol := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ARP))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("open packet socket: %w", err)
	}
	defer unix.Close(fd)
	everybody := &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: a.device.Index, Halen: 6, Addr: [8]byte{255, 255, 255, 255, 255, 255}}
	return errors.Join(
		unix.Sendto(fd, a.arpPacket(arpRequest), 0, everybody),
		unix.Sendto(fd, a.arpPacket(arpReply), 0, everybody),
	)
}

// arpPacket is of RFC 826, for Ethernet and IPv4, of the address to itself.
func (a address) arpPacket(operation uint16) []byte {
	ip, hardware := a.prefix.Addr().AsSlice(), a.device.HardwareAddr
	target := make(net.HardwareAddr, 6)
	if operation == arpReply {
		target = hardware
	}
	b := []byte{0, 1, 8, 0, 6, 4}
	b = binary.BigEndian.AppendUint16(b, operation)
	b = append(append(b, hardware...), ip...)
	return append(append(b, target...), ip...)
}

const (
	neighbourAdvertisement = 136
	advertisementOverride  = 0x20
	optionTargetHardware   = 2
	hopsOfNeighbours       = 255 // by which a receiver knows that no router has passed it on
)

// advertise sends an unsolicited neighbour advertisement (RFC 4861) to all nodes of the link. The kernel adds the checksum.
func (a address) advertise() error {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMPV6)
	if err != nil {
		return fmt.Errorf("open ICMPv6 socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, hopsOfNeighbours); err != nil {
		return fmt.Errorf("set hops: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, a.device.Index); err != nil {
		return fmt.Errorf("choose interface: %w", err)
	}
	allNodes := &unix.SockaddrInet6{Addr: [16]byte{0: 0xff, 1: 2, 15: 1}, ZoneId: uint32(a.device.Index)}
	return unix.Sendto(fd, a.advertisement(), 0, allNodes)
}

func (a address) advertisement() []byte {
	b := []byte{neighbourAdvertisement, 0, 0, 0, advertisementOverride, 0, 0, 0}
	b = append(b, a.prefix.Addr().AsSlice()...)
	b = append(b, optionTargetHardware, 1)
	return append(b, a.device.HardwareAddr...)
}
