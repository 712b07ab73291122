package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Context is one of the clusters in a person's own file: its name, and where it is reached.
type Context struct {
	Cluster   string     `yaml:"cluster"`
	Etcd      EtcdClient `yaml:"etcd"`
	API       []string   `yaml:"api"` // base URLs of members' sidecars, in the order in which they are tried; instead of etcd
	Token     string     `yaml:"token"`
	TokenFile string     `yaml:"token_file"`
	CA        string     `yaml:"ca"` // file with the CA that the API's certificates are verified with
}

var contextKeys = keysOf(reflect.TypeFor[Context]())

// Contexts are the clusters of a file.
type Contexts struct {
	File    string
	Current string
	Names   []string // as the file has them

	settings map[string]map[string]setting
	text     []byte
	current  int // line of the key, 0: it is not there
}

// ContextsFile is where the contexts of whoever runs us lie, unless another file is named; empty if there is no home.
func ContextsFile() string {
	dir, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "pgvigil.yaml")
}

// ReadContexts reads the file. One that does not exist holds none.
func ReadContexts(name string) (Contexts, error) {
	c := Contexts{File: name, settings: map[string]map[string]setting{}}
	if name == "" {
		return c, nil
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	} else if err != nil {
		return c, fmt.Errorf("read contexts: %w", err)
	}
	c.text = text
	f := &file{name: name, lines: strings.Split(string(text), "\n"), keys: contextKeys}
	if top := f.parse(text); top != nil {
		c.read(f, top)
	}
	return c, errors.Join(f.complaints...)
}

func (c *Contexts) read(f *file, top *yaml.Node) {
	known := []string{"contexts", "current"}
	if top = resolve(top); top.Kind != yaml.MappingNode {
		f.complain(top.Line, "the file is %s: keys are expected here, %s", kindOf(top), strings.Join(known, ", "))
		return
	}
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, value := top.Content[i], resolve(top.Content[i+1])
		switch near := DidYouMean(key.Value, known); {
		case key.Value == "current" && value.Kind == yaml.ScalarNode:
			c.Current, c.current = value.Value, key.Line
		case key.Value == "contexts" && value.Kind == yaml.MappingNode:
			c.readEach(f, value)
		case slices.Contains(known, key.Value):
			f.complain(key.Line, "%s is %s: give a name under current, and under contexts a section for each name", key.Value, kindOf(value))
		case near != "":
			f.complain(key.Line, "unknown key %s%s", key.Value, near)
		default:
			f.complain(key.Line, "unknown key %s: the keys here are %s", key.Value, strings.Join(known, ", "))
		}
	}
	if c.Current != "" && c.settings[c.Current] == nil {
		f.complain(c.current, "there is no context %q%s: there are %s", c.Current, DidYouMean(c.Current, c.Names), strings.Join(c.Names, ", "))
	}
}

func (c *Contexts) readEach(f *file, contexts *yaml.Node) {
	for i := 0; i+1 < len(contexts.Content); i += 2 {
		key := contexts.Content[i]
		switch name := key.Value; {
		case c.settings[name] != nil:
			f.complain(key.Line, "contexts.%s stands here a second time: keep one", name)
		case !clusterName.MatchString(name):
			f.complain(key.Line, "context %q: give 1 to 63 letters, digits, dots, dashes or underscores, a letter or digit first", name)
		default:
			f.within, f.settings = "contexts."+name+".", map[string]setting{}
			f.section("", contexts.Content[i+1])
			f.wholePaths()
			c.Names, c.settings[name] = append(c.Names, name), f.settings
		}
	}
}

// wholePaths refuses names of files that would depend on where a command is run.
func (f *file) wholePaths() {
	for _, path := range []string{"etcd.password_file", "etcd.tls.ca", "etcd.tls.cert", "etcd.tls.key", "token_file", "ca"} {
		if s, given := f.settings[path]; given && s.node.Kind == yaml.ScalarNode && !filepath.IsAbs(s.node.Value) {
			f.complain(s.node.Line, "%s%s: %q depends on where pgvigil is run: give the whole path, from / on", f.within, path, s.node.Value)
		}
	}
}

// Get is what the file says of the context of that name.
func (c Contexts) Get(name string) (Context, error) {
	settings, err := c.of(name)
	if err != nil {
		return Context{}, err
	}
	var found Context
	for path, s := range settings {
		if err := s.into(contextKeys.field(&found, path)); err != nil {
			return Context{}, fmt.Errorf("%s: contexts.%s.%s: %w", s.origin, name, path, err)
		}
	}
	return found, nil
}

func (c Contexts) of(name string) (map[string]setting, error) {
	if settings := c.settings[name]; settings != nil {
		return settings, nil
	}
	if len(c.Names) == 0 {
		return nil, fmt.Errorf("there is no context %q: %s holds none", name, c.File)
	}
	return nil, fmt.Errorf("there is no context %q%s: %s has %s", name, DidYouMean(name, c.Names), c.File, strings.Join(c.Names, ", "))
}

// Use makes the context of that name the current one, in the file, which otherwise stays as it is.
func (c Contexts) Use(name string) error {
	if _, err := c.of(name); err != nil {
		return err
	}
	line := "current: " + name
	lines := strings.SplitAfter(string(c.text), "\n")
	if c.current > 0 {
		lines[c.current-1] = line + "\n"
	} else {
		lines = slices.Insert(lines, 0, line+"\n")
	}
	target, err := filepath.EvalSymlinks(c.File)
	if err != nil {
		return fmt.Errorf("write contexts: %w", err)
	}
	return replaceFile(target, strings.Join(lines, ""))
}

// replaceFile writes beside the file and renames, so that nobody reads half of it; its mode is kept, since it may hold secrets.
func replaceFile(name, text string) error {
	info, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("write contexts: %w", err)
	}
	beside, err := os.CreateTemp(filepath.Dir(name), ".pgvigil-*")
	if err != nil {
		return fmt.Errorf("write contexts: %w", err)
	}
	defer os.Remove(beside.Name()) // in vain once it is renamed
	_, failed := beside.WriteString(text)
	if err := errors.Join(failed, beside.Chmod(info.Mode().Perm()), beside.Close()); err != nil {
		return fmt.Errorf("write contexts: %w", err)
	}
	if err := os.Rename(beside.Name(), name); err != nil {
		return fmt.Errorf("write contexts: %w", err)
	}
	return nil
}
