package election

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"time"
)

// Config is what a Client needs to know.
type Config struct {
	Cluster     string   // the cluster's name, part of every key
	Endpoints   []string // of etcd's members: host:port or URL, the nearest first
	Username    string   // with Password, when etcd has authentication enabled
	Password    string
	TLS         *tls.Config   // nil: no TLS, unless an endpoint begins with https://
	DialTimeout time.Duration // for one attempt to connect or log in; 0: 2 s
	Log         *slog.Logger  // nil: silence
}

const (
	defaultDialTimeout = 2 * time.Second
	// defaultBudget bounds a request whose context has no deadline.
	defaultBudget = 5 * time.Second
)

func (c Config) withDefaults() (Config, error) {
	if len(c.Endpoints) == 0 {
		return c, errors.New("open etcd: no endpoints given")
	}
	for _, endpoint := range c.Endpoints {
		if endpoint == "" {
			return c, errors.New("open etcd: an endpoint is empty")
		}
	}
	if (c.Username == "") != (c.Password == "") {
		return c, errors.New("open etcd: user name and password go together, and one of them is missing")
	}
	if c.DialTimeout <= 0 {
		c.DialTimeout = defaultDialTimeout
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
