package config

import "errors"

// ForHooks says what is wrong or missing for a command that only runs hooks.
func (c *Config) ForHooks() error {
	var complaints []error
	if c.Cluster == "" {
		complaints = append(complaints, c.missing("cluster", "the cluster's name, the same on all members"))
	}
	return errors.Join(append(complaints, c.hookComplaints()...)...)
}

func (c *Config) hookComplaints() (complaints []error) {
	for _, complaint := range c.Hooks.Complaints(c.Policy.PromoteWait.D()) {
		complaints = append(complaints, c.complain("hooks."+string(complaint.Kind), "%s", complaint.What))
	}
	return complaints
}
