package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/pgvigil/pgvigil/watchdog/virtualip"
)

// ForAlerts says what is wrong or missing for a command that only sends alerts.
func (c *Config) ForAlerts() error {
	var complaints []error
	if c.Cluster == "" {
		complaints = append(complaints, c.missing("cluster", "the cluster's name, the same on all members"))
	}
	return errors.Join(append(complaints, c.alertComplaints()...)...)
}

func (c *Config) alertComplaints() (complaints []error) {
	taken := map[string]bool{}
	for i, s := range c.Alerts {
		who := fmt.Sprintf("sink %d", i+1)
		if s.Name != "" {
			who = fmt.Sprintf("sink %q", s.Name)
		}
		for _, complaint := range s.Complaints() {
			complaints = append(complaints, c.complain("alerts", "%s: %w", who, complaint))
		}
		if s.Name != "" && taken[s.Name] {
			complaints = append(complaints, c.complain("alerts", "%s: name: another sink has it too", who))
		}
		taken[s.Name] = true
	}
	return complaints
}

// intoSections sets a list of structs. The environment and flags have it as YAML.
func (s setting) intoSections(field reflect.Value) error {
	node := s.node
	if node == nil {
		var document yaml.Node
		if err := yaml.Unmarshal([]byte(s.text), &document); err != nil || len(document.Content) == 0 {
			return errors.New("this is no YAML: give a list of sections, such as [{key: value, …}, …]")
		}
		node = resolve(document.Content[0])
	}
	if _, oneMay := field.Interface().([]virtualip.Config); oneMay && node.Kind == yaml.MappingNode {
		node = &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{node}} // most have one, and need no list
	}
	if node.Kind != yaml.SequenceNode {
		return fmt.Errorf("it is %s: give a list of sections, each begun by a dash", kindOf(node))
	}
	list := reflect.MakeSlice(field.Type(), 0, len(node.Content))
	for _, item := range node.Content {
		item = resolve(item)
		if item.Kind != yaml.MappingNode {
			return fmt.Errorf("it holds %s in line %d: give a list of sections, each begun by a dash", kindOf(item), item.Line)
		}
		element := reflect.New(field.Type().Elem()).Elem()
		if err := intoStruct(element, item); err != nil {
			return err
		}
		list = reflect.Append(list, element)
	}
	field.Set(list)
	return nil
}

// intoStruct sets the fields of one section, as strictly as the file's own keys.
func intoStruct(into reflect.Value, node *yaml.Node) error {
	at := map[string]int{}
	var known []string
	for i := range into.NumField() {
		key := into.Type().Field(i).Tag.Get("yaml")
		at[key], known = i, append(known, key)
	}
	slices.Sort(known)
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], resolve(node.Content[i+1])
		index, exists := at[key.Value]
		switch near := nearest(key.Value, known); {
		case !exists && near != "":
			return fmt.Errorf("unknown key %s in line %d: did you mean %s?", key.Value, key.Line, near)
		case !exists:
			return fmt.Errorf("unknown key %s in line %d: the keys here are %s", key.Value, key.Line, strings.Join(known, ", "))
		case seen[key.Value]:
			return fmt.Errorf("%s stands a second time in line %d: keep one", key.Value, key.Line)
		}
		seen[key.Value] = true
		if err := (setting{node: value}).into(into.Field(index)); err != nil {
			return fmt.Errorf("%s in line %d: %w", key.Value, key.Line, err)
		}
	}
	return nil
}
