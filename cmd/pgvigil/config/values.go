package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// setting is a key's value as it was given, with the place: in the file a node, elsewhere text.
type setting struct {
	node   *yaml.Node
	text   string
	origin string
}

// into sets the field from the value, or says what is expected there.
func (s setting) into(field reflect.Value) error {
	switch field.Kind() {
	case reflect.Slice:
		if field.Type().Elem().Kind() == reflect.Struct {
			return s.intoSections(field)
		}
		list, err := s.list()
		if err != nil {
			return err
		}
		field.Set(reflect.ValueOf(list))
		return nil
	case reflect.Map:
		pairs, err := s.pairs()
		if err != nil {
			return err
		}
		field.Set(reflect.ValueOf(pairs))
		return nil
	}
	text := s.text
	if s.node != nil {
		if s.node.Kind != yaml.ScalarNode || s.node.Tag == "!!null" {
			return fmt.Errorf("it is %s: give %s", kindOf(s.node), expected(field))
		}
		text = s.node.Value
	}
	return scalar(field, text)
}

// scalar sets a field that holds one value.
func scalar(field reflect.Value, text string) error {
	if u, ok := field.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if u.UnmarshalText([]byte(text)) != nil {
			return fmt.Errorf("%q is no duration: give a number with a unit, such as 5s or 250ms", text)
		}
		return nil
	}
	wrong := fmt.Errorf("%q is not %s", text, expected(field))
	switch field.Kind() {
	case reflect.String:
		field.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return wrong
		}
		field.SetBool(text == "true")
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return wrong
		}
		field.SetInt(int64(n))
	case reflect.Int64:
		n, err := bytes(text)
		if err != nil {
			return wrong
		}
		field.SetInt(n)
	case reflect.Float64:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return wrong
		}
		field.SetFloat(x)
	default:
		panic("config: a field of kind " + field.Kind().String() + " has no reader")
	}
	return nil
}

// expected says what a field holds. An int64 counts bytes.
func expected(field reflect.Value) string {
	if _, ok := field.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return "a duration, such as 5s or 250ms"
	}
	switch field.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Int64:
		return "a number of bytes, such as 1048576, 512kB, 1MB or 2GB"
	case reflect.Float64:
		return "a number"
	default:
		return "one text"
	}
}

func bytes(text string) (int64, error) {
	shift := 0
	for unit, bits := range map[string]int{"kB": 10, "MB": 20, "GB": 30} {
		if number, found := strings.CutSuffix(text, unit); found {
			text, shift = strings.TrimSpace(number), bits
		}
	}
	n, err := strconv.ParseInt(text, 10, 64-shift)
	return n << shift, err
}

func (s setting) list() ([]string, error) {
	if s.node == nil {
		return split(s.text), nil
	}
	if s.node.Kind == yaml.ScalarNode && s.node.Tag != "!!null" {
		return split(s.node.Value), nil
	}
	if s.node.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf(`it is %s: give a list, such as ["a", "b"]`, kindOf(s.node))
	}
	var list []string
	for _, item := range s.node.Content {
		item = resolve(item)
		if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
			return nil, fmt.Errorf(`it holds %s in line %d: give a list of texts, such as ["a", "b"]`, kindOf(item), item.Line)
		}
		list = append(list, item.Value)
	}
	return list, nil
}

func (s setting) pairs() (map[string]string, error) {
	pairs := map[string]string{}
	if s.node == nil {
		for _, pair := range split(s.text) {
			name, value, found := strings.Cut(pair, "=")
			if !found {
				return nil, fmt.Errorf("%q has no equals sign: give name=value, separated by commas", pair)
			}
			pairs[name] = value
		}
		return pairs, nil
	}
	if s.node.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("it is %s: give lines of name: value", kindOf(s.node))
	}
	for i := 0; i+1 < len(s.node.Content); i += 2 {
		name, value := s.node.Content[i].Value, resolve(s.node.Content[i+1])
		if value.Kind != yaml.ScalarNode || value.Tag == "!!null" {
			return nil, fmt.Errorf("%s is %s in line %d: give one text", name, kindOf(value), s.node.Content[i].Line)
		}
		if _, twice := pairs[name]; twice {
			return nil, fmt.Errorf("%s stands a second time in line %d: keep one", name, s.node.Content[i].Line)
		}
		pairs[name] = value.Value
	}
	return pairs, nil
}

// split reads a list that is separated by commas.
func split(text string) (list []string) {
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}
