package virtualip

import (
	"net/netip"
)

// Config is one address as the configuration file has it.
type Config struct {
	Address   string `yaml:"address"`   // with the length of its network's part: 10.0.0.100/24
	Interface string `yaml:"interface"` // on which it is put: eth0
}

func (c Config) prefix() (netip.Prefix, error) { return netip.ParsePrefix(c.Address) }

// Complaint says what is wrong with it, empty if nothing is. The host is not looked at.
func (c Config) Complaint() string {
	prefix, err := c.prefix()
	switch ip := prefix.Addr(); {
	case c.Address == "":
		return "address: it is missing: give the address and its network's length, such as 10.0.0.100/24"
	case err != nil:
		return "address: " + c.Address + " is none: give it with its network's length, such as 10.0.0.100/24"
	case ip.IsUnspecified(), ip.IsLoopback(), ip.IsMulticast(), ip.IsLinkLocalUnicast(), ip.Is4In6():
		return "address: " + c.Address + " is no address that clients on other hosts could use: give one of their network"
	case !prefix.IsSingleIP() && prefix.Masked().Addr() == ip:
		return "address: " + c.Address + " is a network: give a free address of it"
	case c.Interface == "":
		return "interface: it is missing: give the network interface, such as eth0"
	}
	return ""
}
