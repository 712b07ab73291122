package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"
	"gopkg.in/yaml.v3"
)

// form is how data is printed.
type form string

const (
	asTable form = "table" // for people
	asJSON  form = "json"
	asYAML  form = "yaml" // the same keys as in JSON, in the same order
)

func outputFlag() cli.Flag {
	return &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: string(asTable), Usage: "`FORMAT`: table, json or yaml"}
}

func formOf(c *cli.Context) (form, error) {
	switch f := form(c.String("output")); f {
	case asTable, asJSON, asYAML:
		return f, nil
	default:
		return "", fail(exitUsage, fmt.Errorf("there is no output format %q: give table, json or yaml", f))
	}
}

// show writes a value in the form asked for; text is the one for people.
func (f form) show(w io.Writer, value any, text func() string) (err error) {
	switch f {
	case asJSON:
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	case asYAML:
		data, err := toYAML(value)
		if err == nil {
			_, err = w.Write(data)
		}
		return err
	default:
		_, err = io.WriteString(w, text())
		return err
	}
}

// stream writes one of many values: in JSON as one line, in YAML as a document.
func (f form) stream(w io.Writer, value any, text func() string) error {
	switch f {
	case asJSON:
		return json.NewEncoder(w).Encode(value)
	case asYAML:
		if _, err := io.WriteString(w, "---\n"); err != nil {
			return err
		}
	}
	return f.show(w, value, text)
}

// toYAML goes by way of JSON, which is YAML too: so names, order and the forms of values are those of the JSON.
func toYAML(value any) ([]byte, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, err
	}
	plainStyle(&document)
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&document); err != nil {
		return nil, err
	}
	return out.Bytes(), encoder.Close()
}

// plainStyle takes JSON's brackets away, and its quotes where no reader of YAML needs them: older ones take a plain no or
// 0x5 for something else than text.
func plainStyle(node *yaml.Node) {
	if node.Kind != yaml.ScalarNode || node.Tag == "!!str" && !quoted(node.Value) {
		node.Style = 0
	}
	for _, child := range node.Content {
		plainStyle(child)
	}
}

func quoted(text string) bool {
	data, err := yaml.Marshal(text)
	return err != nil || data[0] == '"' || data[0] == '\''
}
