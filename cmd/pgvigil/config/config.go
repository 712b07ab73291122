package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/alert/sink"
	"github.com/pgvigil/pgvigil/watchdog/hook"
	"github.com/pgvigil/pgvigil/watchdog/pooler"
	"github.com/pgvigil/pgvigil/watchdog/virtualip"
)

// Config is everything that can be configured. Load fills in what has a default.
type Config struct {
	Cluster    string             `yaml:"cluster"`
	Name       string             `yaml:"name"`
	Etcd       Etcd               `yaml:"etcd"`
	Postgres   Postgres           `yaml:"postgres"`
	API        API                `yaml:"api"`
	StateDir   string             `yaml:"state_dir"` // default: postgres.data_dir + ".pgvigil"
	Site       string             `yaml:"site"`
	Priority   int                `yaml:"priority"`
	NoFailover bool               `yaml:"no_failover"`
	NoSync     bool               `yaml:"no_sync"`
	Follow     string             `yaml:"follow"`
	Policy     Policy             `yaml:"policy"`
	Alerts     []sink.Config      `yaml:"alerts"`
	Hooks      hook.Config        `yaml:"hooks"`
	VirtualIP  []virtualip.Config `yaml:"virtual_ip"`
	PgBouncer  pooler.Config      `yaml:"pgbouncer"`
	Log        Log                `yaml:"log"`

	// Warnings are what is probably a mistake and yet no error, such as an environment variable that is nearly a key.
	Warnings []string `yaml:"-"`

	file     string
	settings map[string]setting
}

// Etcd is how etcd is reached.
type Etcd struct {
	EtcdClient `yaml:",inline"`
	Embedded   Embedded `yaml:"embedded"`
}

// EtcdClient is what a client of etcd needs to know.
type EtcdClient struct {
	Endpoints    []string `yaml:"endpoints"`
	Username     string   `yaml:"username"`
	Password     string   `yaml:"password"` // or what stands in PasswordFile
	PasswordFile string   `yaml:"password_file"`
	TLS          TLS      `yaml:"tls"`
}

// TLS names the files with which etcd is verified, and with which we prove who we are. An embedded member shows the same
// certificate.
type TLS struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	CA   string `yaml:"ca"`
}

// Embedded is an etcd member that runs inside the sidecar.
type Embedded struct {
	Dir             string            `yaml:"dir"`              // default: state_dir + "/etcd"
	ListenPeer      string            `yaml:"listen_peer"`      // URL for the other members; default: as initial_cluster has it
	ListenClient    string            `yaml:"listen_client"`    // URL for clients
	AdvertiseClient string            `yaml:"advertise_client"` // default: listen_client, with our host if that is a wildcard
	InitialCluster  map[string]string `yaml:"initial_cluster"`  // member's name → its peer URL
}

// Enabled says whether an etcd member is to run inside the sidecar.
func (e Embedded) Enabled() bool {
	return len(e.InitialCluster) > 0 || e.ListenClient != "" || e.ListenPeer != "" || e.Dir != ""
}

// Postgres is the server beside the sidecar.
type Postgres struct {
	DataDir      string `yaml:"data_dir"`
	BinDir       string `yaml:"bin_dir"`       // default: found
	Address      string `yaml:"address"`       // host:port at which members and clients reach it
	Replication  string `yaml:"replication"`   // conninfo words that a standby connects with
	Connect      string `yaml:"connect"`       // conninfo words for the sidecar's own sessions
	Rewind       string `yaml:"rewind"`        // conninfo words for pg_rewind's session on the new primary
	StartCommand string `yaml:"start_command"` // for a server that belongs to systemd
	StopCommand  string `yaml:"stop_command"`
}

// API is the sidecar's HTTP address.
type API struct {
	Listen    string `yaml:"listen"`     // host:port; default: every address, port 8008
	Advertise string `yaml:"advertise"`  // base URL for the other members; default: from listen, or the host of postgres.address
	Token     string `yaml:"token"`      // by which operators are let in, or what stands in TokenFile; default: nobody is
	TokenFile string `yaml:"token_file"` //
	TLS       APITLS `yaml:"tls"`
}

// APITLS is a second port, on which the API is served by TLS. Operators are then served there alone.
type APITLS struct {
	Listen string `yaml:"listen"` // host:port
	Cert   string `yaml:"cert"`
	Key    string `yaml:"key"`
}

// Policy is a preset and what is changed in it.
type Policy struct {
	Preset          string `yaml:"preset"` // default or tight
	watchdog.Policy `yaml:",inline"`
}

// Log is how the log is written.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // text or json
}

// Load reads the file (none when empty), the environment in os.Environ's form, and flags by the path of their key. It
// returns every complaint at once; what is missing is only found by ForMember and ForStore.
func Load(file string, environ []string, flags map[string]Flag) (Config, error) {
	settings := map[string]setting{}
	var complaints []error
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return Config{}, fmt.Errorf("read configuration: %w: give its path with -c", err)
		}
		complaints = memberKeys.readFile(file, text, settings)
	}
	return assemble(file, settings, complaints, environ, flags)
}

// assemble puts environment and flags over the settings of a file.
func assemble(file string, settings map[string]setting, complaints []error, environ []string, flags map[string]Flag) (Config, error) {
	c := Config{file: file, settings: settings, API: API{Listen: ":8008"}, Log: Log{Level: "info", Format: "text"}}
	c.Warnings = memberKeys.readEnvironment(environ, c.settings)
	addFlags(flags, c.settings)
	complaints = append(complaints, c.assign()...)
	if len(complaints) > 0 {
		return Config{}, errors.Join(complaints...)
	}
	for _, secret := range []struct {
		path       string
		file, into *string
	}{{"etcd.password", &c.Etcd.PasswordFile, &c.Etcd.Password}, {"api.token", &c.API.TokenFile, &c.API.Token}} {
		if err := c.readSecret(secret.path, *secret.file, secret.into); err != nil {
			return Config{}, err
		}
	}
	c.derive()
	return c, nil
}

func addFlags(flags map[string]Flag, into map[string]setting) {
	for path, flag := range flags {
		into[path] = setting{text: flag.Value, origin: "--" + flag.Name}
	}
}

// Flag is the value of a command-line flag that stands for a key.
type Flag struct {
	Name  string // without dashes
	Value string
}

// assign puts the settings into the fields: the preset first, since the other policy keys change it.
func (c *Config) assign() (complaints []error) {
	set := func(path string) {
		s, given := c.settings[path]
		if !given {
			return
		}
		if err := s.into(memberKeys.field(c, path)); err != nil {
			complaints = append(complaints, c.complain(path, "%v", err))
		}
	}
	set("policy.preset")
	if c.Policy.Preset == "" {
		c.Policy.Preset = "default"
	}
	preset, known := watchdog.Preset(c.Policy.Preset)
	if !known {
		complaints = append(complaints, c.complain("policy.preset", "there is no preset %q: give default or tight", c.Policy.Preset))
	}
	c.Policy.Policy = preset
	for _, path := range memberKeys.paths {
		if path != "policy.preset" {
			set(path)
		}
	}
	return complaints
}

// readSecret reads what may stand in a file of its own, and then not beside it.
func (c *Config) readSecret(path, file string, into *string) error {
	if file == "" {
		return nil
	}
	if *into != "" {
		return c.complain(path+"_file", "%s is given too: keep one of them", path)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return c.complain(path+"_file", "%v: write it there or correct the path", err)
	}
	*into = strings.TrimRight(string(text), "\r\n")
	return nil
}

// complain makes an error that says where the key was given, or where it could be.
func (c *Config) complain(path, format string, args ...any) error {
	where := c.file
	if s, given := c.settings[path]; given {
		where = s.origin
	}
	if where == "" {
		where = "configuration"
	}
	return fmt.Errorf("%s: %s: %w", where, path, fmt.Errorf(format, args...))
}

// missing makes an error for a key that has no default and was given nowhere.
func (c *Config) missing(path, what string) error {
	return c.complain(path, "it is missing: give %s, in the file or as %s", what, variable(path))
}
