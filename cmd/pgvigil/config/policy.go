package config

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/pgvigil/pgvigil/watchdog"
)

var policyKeys = keysOf(reflect.TypeFor[watchdog.Policy]())

// EditPolicy reads the text of a policy as strictly as a configuration. Keys that it leaves out are as before; name is what
// complaints call it.
func EditPolicy(before watchdog.Policy, name string, text []byte) (watchdog.Policy, error) {
	settings := map[string]setting{}
	complaints := policyKeys.readFile(name, text, settings)
	after := before
	for _, path := range policyKeys.paths {
		s, given := settings[path]
		if !given {
			continue
		}
		if err := s.into(policyKeys.field(&after, path)); err != nil {
			complaints = append(complaints, fmt.Errorf("%s: %s: %w", s.origin, path, err))
		}
	}
	if len(complaints) > 0 {
		return before, errors.Join(complaints...)
	}
	return after, after.Validate()
}
