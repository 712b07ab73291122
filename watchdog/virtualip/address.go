package virtualip

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/pgvigil/pgvigil/watchdog/guard"
)

// address is one on an interface of this host.
type address struct {
	prefix netip.Prefix
	device net.Interface
}

func resolve(c Config) (address, error) {
	prefix, err := c.prefix()
	if err != nil {
		return address{}, fmt.Errorf("virtual_ip: %w", err)
	}
	device, err := net.InterfaceByName(c.Interface)
	if err != nil {
		return address{}, fmt.Errorf("virtual_ip: there is no network interface %s on this host: there are %s", c.Interface, strings.Join(interfaces(), ", "))
	}
	return address{prefix, *device}, nil
}

func interfaces() (names []string) {
	all, _ := net.Interfaces()
	for _, i := range all {
		names = append(names, i.Name)
	}
	return names
}

func (a address) String() string { return a.prefix.String() + " on " + a.device.Name }

// up puts the address on its interface, or leaves it there.
func (a address) up() error {
	link := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: a.device.Index, Name: a.device.Name}}
	ip := a.prefix.Addr()
	wanted := &netlink.Addr{IPNet: &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(a.prefix.Bits(), ip.BitLen())}}
	if ip.Is6() {
		// It is to answer at once, and the one before has let it go: nobody is asked whether it is free. It is not preferred, so
		// that sessions that this host opens itself do not come from it and break when it goes.
		wanted.Flags, wanted.ValidLft, wanted.PreferedLft = unix.IFA_F_NODAD, math.MaxUint32, 0
	}
	if err := netlink.AddrReplace(link, wanted); err != nil {
		return fmt.Errorf("put %s up: %w", a, err)
	}
	return nil
}

// down takes it away, as the guard does.
func (a address) down() error {
	if err := a.guarded().Remove(); err != nil {
		return fmt.Errorf("%s: %w", a, err)
	}
	return nil
}

func (a address) guarded() guard.Address {
	return guard.Address{Interface: a.device.Index, Prefix: a.prefix.Bits(), IP: string(a.prefix.Addr().AsSlice())}
}
