package config

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// secrets are not written to a file that everybody may read: they are given by a file of their own.
var secrets = []string{"etcd.password", "api.token"}

// File is the configuration as a file: what was given in a file, the environment or by flags, and the values of the keys that
// are set besides. It says which secrets it has left out.
func (c *Config) File(also map[string]string) (text []byte, left []string, err error) {
	document := &yaml.Node{Kind: yaml.MappingNode}
	for _, path := range memberKeys.paths {
		s, given := c.settings[path]
		value, more := also[path]
		if !given && !more {
			continue
		}
		if slices.Contains(secrets, path) {
			left = append(left, path)
			continue
		}
		node := s.node
		if more {
			node = &yaml.Node{}
			node.SetString(value)
		} else if node == nil {
			node = &yaml.Node{}
			if err := node.Encode(memberKeys.field(c, path).Interface()); err != nil {
				return nil, nil, fmt.Errorf("write %s: %w", path, err)
			}
		}
		put(document, strings.Split(path, "."), node)
	}
	var out strings.Builder
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(document); err != nil {
		return nil, nil, err
	}
	if err := encoder.Close(); err != nil {
		return nil, nil, err
	}
	return []byte(out.String()), left, nil
}

// put lays a value at a path of sections.
func put(section *yaml.Node, path []string, value *yaml.Node) {
	for i := 0; i+1 < len(section.Content); i += 2 {
		if section.Content[i].Value == path[0] {
			put(section.Content[i+1], path[1:], value)
			return
		}
	}
	key := &yaml.Node{}
	key.SetString(path[0])
	if len(path) > 1 {
		inner := &yaml.Node{Kind: yaml.MappingNode}
		put(inner, path[1:], value)
		value = inner
	}
	section.Content = append(section.Content, key, value)
}
