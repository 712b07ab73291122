package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/xrash/smetrics"
)

const prefix = "PGVIGIL_"

// keys are the keys that a file may hold, which are the fields of a struct.
type keys struct {
	fields   map[string][]int // where each lies in the struct, by its path
	sections map[string]bool  // the paths that hold keys
	paths    []string         // all keys, in the order of the struct
}

// memberKeys are those of a member's configuration.
var memberKeys = keysOf(reflect.TypeFor[Config]())

func keysOf(t reflect.Type) *keys {
	k := &keys{}
	k.fields, k.sections = walk(t, "", nil)
	for path := range k.fields {
		k.paths = append(k.paths, path)
	}
	slices.SortFunc(k.paths, func(a, b string) int { return slices.Compare(k.fields[a], k.fields[b]) })
	return k
}

func walk(t reflect.Type, under string, at []int) (map[string][]int, map[string]bool) {
	found, sections := map[string][]int{}, map[string]bool{under: true}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		path, index := join(under, name), append(slices.Clone(at), i)
		if options == "inline" {
			path = under
		}
		if f.Type.Kind() != reflect.Struct {
			found[path] = index
			continue
		}
		inner, more := walk(f.Type, path, index)
		for p, x := range inner {
			found[p] = x
		}
		for p := range more {
			sections[p] = true
		}
	}
	return found, sections
}

func join(section, key string) string {
	if section == "" {
		return key
	}
	return section + "." + key
}

// field is the key's field in a struct of these keys, given by its address.
func (k *keys) field(of any, path string) reflect.Value {
	return reflect.ValueOf(of).Elem().FieldByIndex(k.fields[path])
}

// variable is the key's environment variable.
func variable(path string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// readEnvironment notes the variables that are keys, and warns of those that nearly are. Others under our prefix are
// passed over: container platforms make some of their own.
func (k *keys) readEnvironment(environ []string, into map[string]setting) (warnings []string) {
	variables := map[string]string{}
	names := make([]string, 0, len(k.paths))
	for _, path := range k.paths {
		variables[variable(path)] = path
		names = append(names, variable(path))
	}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if path, known := variables[name]; known && value != "" {
			into[path] = setting{text: value, origin: name}
			continue
		} else if known || !strings.HasPrefix(name, prefix) {
			continue
		}
		if near := nearest(name, names); near != "" {
			warnings = append(warnings, fmt.Sprintf("environment variable %s is not known and has no effect: did you mean %s?", name, near))
		}
	}
	return warnings
}

// under returns the names of the keys and sections right under a section.
func (k *keys) under(section string) []string {
	names := map[string]bool{}
	for _, path := range k.paths {
		if rest, inside := strings.CutPrefix(path, join(section, "")); inside {
			name, _, _ := strings.Cut(rest, ".")
			names[name] = true
		}
	}
	var sorted []string
	for name := range names {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	return sorted
}

// suggest says what was probably meant by a key that does not exist.
func (k *keys) suggest(section, key string) string {
	here := k.under(section)
	if near := nearest(key, here); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	for _, path := range k.paths { // the right key in the wrong section
		if path == key || strings.HasSuffix(path, "."+key) {
			return fmt.Sprintf("did you mean %s?", path)
		}
	}
	if near := nearest(join(section, key), k.paths); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	return "the keys here are " + strings.Join(here, ", ")
}

// DidYouMean names the one of names that is a few typing errors away from name, as the end of a sentence; empty if none is.
func DidYouMean(name string, names []string) string {
	if near := nearest(name, names); near != "" {
		return fmt.Sprintf(" (did you mean %s?)", near)
	}
	return ""
}

// nearest returns the name that is a few typing errors away, or none.
func nearest(name string, names []string) string {
	best, least := "", max(2, len(name)/4)+1
	for _, candidate := range names {
		if d := smetrics.WagnerFischer(strings.ToLower(name), strings.ToLower(candidate), 1, 1, 1); d < least {
			best, least = candidate, d
		}
	}
	return best
}
