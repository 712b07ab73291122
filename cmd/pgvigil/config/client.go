package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"strings"
)

// Client is how a command reaches a cluster: through etcd, or through the API of any member.
type Client struct {
	Config
	Context string   // by whose name the rest was found; empty: none
	API     []string // base URLs; empty: through etcd
	Token   string
	CA      string
}

// Source says where a Client is looked for.
type Source struct {
	File     string // a member's configuration; empty: none
	Contexts string // the file of contexts
	Context  string // which of them; empty: the current one, unless File is given
	Environ  []string
	Flags    map[string]Flag // by the path of their key
}

// apiKeys are those that a context, the environment and flags have and a member's configuration has not.
type apiKeys struct {
	API       []string `yaml:"api"`
	Token     string   `yaml:"token"`
	TokenFile string   `yaml:"token_file"`
	CA        string   `yaml:"ca"`
}

var clientKeys = keysOf(reflect.TypeFor[apiKeys]())

// LoadClient finds out how a cluster is reached: by flags over the environment over the member's configuration or the context.
func LoadClient(from Source) (Client, error) {
	if from.File != "" && from.Context != "" {
		return Client{}, fmt.Errorf("the configuration %s and the context %s would both say which cluster: give one", from.File, from.Context)
	}
	base, name, err := from.context()
	if err != nil {
		return Client{}, err
	}
	member, own := map[string]setting{}, map[string]setting{}
	for path, s := range base {
		if _, is := clientKeys.fields[path]; is {
			own[path] = s
		} else {
			member[path] = s
		}
	}
	flags := map[string]Flag{}
	clientKeys.readEnvironment(from.Environ, own)
	for path, flag := range from.Flags {
		if _, is := clientKeys.fields[path]; is {
			own[path] = setting{text: flag.Value, origin: "--" + flag.Name}
		} else {
			flags[path] = flag
		}
	}
	c := Client{Context: name}
	if from.File != "" {
		c.Config, err = Load(from.File, from.Environ, flags)
	} else {
		file := ""
		if name != "" {
			file = from.Contexts
		}
		c.Config, err = assemble(file, member, nil, from.Environ, flags)
	}
	if err != nil {
		return Client{}, err
	}
	return c, c.reach(own)
}

// context are the settings of the context that is asked for, or of the current one where nothing else is.
func (s Source) context() (map[string]setting, string, error) {
	if s.File != "" {
		return nil, "", nil
	}
	contexts, err := ReadContexts(s.Contexts)
	if err != nil {
		return nil, "", err
	}
	name := s.Context
	if name == "" {
		name = contexts.Current
	}
	if name == "" {
		return nil, "", nil
	}
	settings, err := contexts.of(name)
	return settings, name, err
}

// reach fills in how the API is reached, if it is and not etcd: whichever was said later, a flag being later than the
// environment, and that than a file.
func (c *Client) reach(own map[string]setting) error {
	var keys apiKeys
	for path, s := range own {
		if err := s.into(clientKeys.field(&keys, path)); err != nil {
			return fmt.Errorf("%s: %s: %w", s.origin, path, err)
		}
	}
	api, etcd := own["api"], c.settings["etcd.endpoints"]
	if len(keys.API) == 0 || etcd.later() > api.later() {
		return nil
	}
	if etcd.later() == api.later() && etcd.origin != "" {
		return fmt.Errorf("%s and %s: etcd and the API would both be a way to the cluster: give one", etcd.origin, api.origin)
	}
	c.API, c.Token, c.CA = keys.API, keys.Token, keys.CA
	if c.Token == "" {
		c.Token = c.Config.API.Token
	}
	if keys.TokenFile != "" && own["token_file"].later() >= own["token"].later() {
		text, err := os.ReadFile(keys.TokenFile)
		if err != nil {
			return fmt.Errorf("%s: token_file: %w: write the token there or correct the path", own["token_file"].origin, err)
		}
		c.Token = strings.TrimSpace(string(text))
	}
	for i, address := range c.API {
		c.API[i] = strings.TrimRight(address, "/")
		if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("%s: api: %q is no address of a member's API: give http://host:8008, or https://", api.origin, address)
		}
	}
	return nil
}

// later ranks where a setting was given.
func (s setting) later() int {
	switch {
	case s.origin == "":
		return 0
	case strings.HasPrefix(s.origin, "--"):
		return 3
	case strings.HasPrefix(s.origin, prefix):
		return 2
	default:
		return 1
	}
}

// ForOperator says what is wrong or missing for a command that works on a cluster.
func (c *Client) ForOperator() error {
	switch {
	case len(c.API) == 0 && c.file == "" && c.Cluster == "" && len(c.Etcd.Endpoints) == 0:
		return errors.New("which cluster? Give --context NAME, -c with a member's configuration, --api with the URL of a member, or --cluster and --etcd (PGVIGIL_CLUSTER, PGVIGIL_ETCD_ENDPOINTS)")
	case len(c.API) == 0:
		return c.ForStore()
	}
	if c.Token == "" {
		return errors.New("the API wants a token: give --token-file, PGVIGIL_TOKEN, or token_file in the context; it is api.token or api.token_file of the member's own configuration")
	}
	return nil
}
