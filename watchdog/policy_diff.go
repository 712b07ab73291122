package watchdog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// PolicyValues are the policy as keys, in the order of its fields, and values as JSON has them.
func PolicyValues(p Policy) (order []string, values map[string]any, err error) {
	data, err := json.Marshal(p)
	if err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(data, &values); err != nil {
		return nil, nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return order, values, nil
		}
		if err != nil {
			return nil, nil, err
		}
		key, is := token.(string)
		if _, named := values[key]; is && named && !slices.Contains(order, key) {
			order = append(order, key)
		}
	}
}

// Difference is a key of the policy whose value changes.
type Difference struct {
	Key string `json:"key"`
	Was string `json:"was"`
	Is  string `json:"is"`
}

// String is the difference for people.
func (d Difference) String() string { return d.Key + " " + d.change() }

func (d Difference) change() string { return d.Was + " → " + d.Is }

// PolicyDiff lists what differs, in the order of the policy's fields.
func PolicyDiff(before, after Policy) (found []Difference, err error) {
	order, was, err := PolicyValues(before)
	if err != nil {
		return nil, err
	}
	_, is, err := PolicyValues(after)
	for _, key := range order {
		if d := (Difference{key, PolicyText(was[key]), PolicyText(is[key])}); d.Was != d.Is {
			found = append(found, d)
		}
	}
	return found, err
}

// PolicyText writes a value of PolicyValues as people do.
func PolicyText(value any) string {
	if number, is := value.(float64); is && number == float64(int64(number)) {
		return fmt.Sprint(int64(number))
	}
	return fmt.Sprint(value)
}
