package config

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// readFile notes every key of a YAML file with its line.
func (k *keys) readFile(name string, text []byte, into map[string]setting) []error {
	f := &file{name: name, lines: strings.Split(string(text), "\n"), keys: k, settings: into}
	if top := f.parse(text); top != nil {
		f.section("", top)
	}
	return f.complaints
}

type file struct {
	name       string
	lines      []string
	within     string // what the keys belong to, as it is shown: empty, or as contexts.orders.
	keys       *keys
	settings   map[string]setting
	complaints []error
}

// parse returns what the one document of the file holds; nil if it is empty, or no YAML.
func (f *file) parse(text []byte) *yaml.Node {
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	var document, more yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil // all may stand in the environment
	} else if err != nil {
		f.complaints = append(f.complaints, f.syntax(err))
		return nil
	}
	if err := decoder.Decode(&more); err == nil {
		f.complain(more.Line, "a second document begins here: keep one configuration in one file")
		return nil
	}
	return document.Content[0]
}

// section walks the keys of a mapping.
func (f *file) section(path string, node *yaml.Node) {
	node = resolve(node)
	if node.Kind != yaml.MappingNode {
		if node.Tag != "!!null" { // a section without keys is an empty one
			f.complain(node.Line, "%s is %s: keys are expected here, %s", orTop(f.within+path), kindOf(node), strings.Join(f.keys.under(path), ", "))
		}
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], resolve(node.Content[i+1])
		full := join(path, key.Value)
		if line, twice := first[key.Value]; twice {
			f.complain(key.Line, "%s stands here a second time, after line %d: keep one", f.within+full, line)
			continue
		}
		first[key.Value] = key.Line
		switch _, known := f.keys.fields[full]; {
		case known:
			f.settings[full] = setting{node: value, origin: fmt.Sprintf("%s:%d", f.name, key.Line)}
		case f.keys.sections[full]:
			f.section(full, value)
		default:
			f.complain(key.Line, "unknown key %s: %s", f.within+full, f.keys.suggest(path, key.Value))
		}
	}
}

// fail makes an error that shows the line.
func (f *file) fail(line int, format string, args ...any) error {
	shown := ""
	if line >= 1 && line <= len(f.lines) {
		shown = fmt.Sprintf("\n  %5d | %s", line, f.lines[line-1])
	}
	return fmt.Errorf("%s:%d: %s%s", f.name, line, fmt.Sprintf(format, args...), shown)
}

func (f *file) complain(line int, format string, args ...any) {
	f.complaints = append(f.complaints, f.fail(line, format, args...))
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): (.*)$`)

// syntax puts a complaint of the YAML library into our form.
func (f *file) syntax(err error) error {
	parts := yamlLine.FindStringSubmatch(err.Error())
	if parts == nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	var line int
	fmt.Sscan(parts[1], &line)
	return f.fail(line, "this is no YAML: %s (look at this line and the one before)", parts[2])
}

func resolve(node *yaml.Node) *yaml.Node {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return node
}

func kindOf(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.MappingNode:
		return "a section"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case node.Tag == "!!null":
		return "empty"
	default:
		return fmt.Sprintf("the value %q", node.Value)
	}
}

func orTop(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}
