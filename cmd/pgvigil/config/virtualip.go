package config

import "strings"

func (c *Config) virtualIPComplaints() (complaints []error) {
	taken := map[string]bool{}
	own, _, _ := hostPort(c.Postgres.Address)
	for _, v := range c.VirtualIP {
		host, _, _ := strings.Cut(v.Address, "/")
		if complaint := v.Complaint(); complaint != "" {
			complaints = append(complaints, c.complain("virtual_ip", "%s", complaint))
		} else if host == own {
			complaints = append(complaints, c.complain("virtual_ip", "address: %s is in postgres.address too, at which this member is reached whatever its role: give an address that no host has", host))
		} else if taken[host] {
			complaints = append(complaints, c.complain("virtual_ip", "address: %s is given twice: keep one", host))
		}
		taken[host] = true
	}
	return complaints
}
