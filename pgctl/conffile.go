package pgctl

import "strings"

// confFile is a file in PostgreSQL's configuration syntax: postgresql.conf, postgresql.auto.conf and, before 12,
// recovery.conf. Lines that are not asked to change stay as they are, byte for byte.
type confFile struct {
	lines []confLine
}

// confLine is one line. A line that sets nothing has no name.
type confLine struct {
	raw     string
	name    string // in lower case
	value   string // without its quotes
	comment string // what stands behind the value, with its #
}

// parseConf reads a file's content. Lines that PostgreSQL would not understand set nothing and are kept.
func parseConf(content string) confFile {
	var f confFile
	content = strings.TrimSuffix(content, "\n")
	if content == "" {
		return f
	}
	for raw := range strings.SplitSeq(content, "\n") {
		f.lines = append(f.lines, parseConfLine(raw))
	}
	return f
}

// String is the file's content.
func (f confFile) String() string {
	var b strings.Builder
	for _, line := range f.lines {
		b.WriteString(line.raw)
		b.WriteByte('\n')
	}
	return b.String()
}

// get returns a setting's value: that of the last line that sets it.
func (f confFile) get(name string) (value string, set bool) {
	for _, line := range f.lines {
		if line.name == name {
			value, set = line.value, true
		}
	}
	return value, set
}

// set gives a setting a value: in the last line that sets it, the others taken out, or in a line of its own at the end.
func (f *confFile) set(name, value string) {
	last := -1
	for i, line := range f.lines {
		if line.name == name {
			last = i
		}
	}
	line := confLine{raw: name + " = " + quoteSetting(value), name: name, value: value}
	if last < 0 {
		f.lines = append(f.lines, line)
		return
	}
	if line.comment = f.lines[last].comment; line.comment != "" {
		line.raw += " " + line.comment
	}
	f.lines[last] = line
	f.remove(name, last)
}

// unset takes every line that sets it out.
func (f *confFile) unset(name string) { f.remove(name, -1) }

func (f *confFile) remove(name string, but int) {
	kept := f.lines[:0:0]
	for i, line := range f.lines {
		if line.name != name || i == but {
			kept = append(kept, line)
		}
	}
	f.lines = kept
}

// parseConfLine reads one line as guc-file.l does: a name, perhaps =, a value, perhaps a comment.
func parseConfLine(raw string) confLine {
	line := confLine{raw: raw}
	rest := strings.TrimLeft(raw, " \t\r\f\v")
	end := 0
	for end < len(rest) && settingChar(rest[end], end > 0) {
		end++
	}
	if end == 0 {
		return line
	}
	name := strings.ToLower(rest[:end])
	rest = strings.TrimLeft(rest[end:], " \t\r")
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "="), " \t\r")
	value, rest, ok := scanValue(rest)
	if !ok {
		return line
	}
	rest = strings.TrimSpace(rest)
	if rest != "" && rest[0] != '#' {
		return line
	}
	line.name, line.value, line.comment = name, value, rest
	return line
}

// settingChar says whether c may stand in a setting's name, or in a value without quotes.
func settingChar(c byte, further bool) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c >= 0x80:
		return true
	case c >= '0' && c <= '9', c == '.', c == '$':
		return further
	}
	return false
}

// scanValue reads a value at the start of text and returns what follows it.
func scanValue(text string) (value, rest string, ok bool) {
	if strings.HasPrefix(text, "'") {
		return scanQuoted(text[1:])
	}
	end := 0
	for end < len(text) && (settingChar(text[end], true) || strings.IndexByte("-+:/.", text[end]) >= 0) {
		end++
	}
	return text[:end], text[end:], end > 0
}

// scanQuoted reads up to the closing quote: two quotes are one, and a backslash escapes as in C.
func scanQuoted(text string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\'' && i+1 < len(text) && text[i+1] == '\'':
			b.WriteByte('\'')
			i++
		case c == '\'':
			return b.String(), text[i+1:], true
		case c == '\\' && i+1 < len(text):
			i += unescape(&b, text[i+1:])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}

// unescape writes what the escape behind a backslash stands for, and returns its length.
func unescape(b *strings.Builder, text string) int {
	if i := strings.IndexByte("bfnrt", text[0]); i >= 0 {
		b.WriteByte("\b\f\n\r\t"[i])
		return 1
	}
	n, octal := 0, 0
	for n < 3 && n < len(text) && text[n] >= '0' && text[n] <= '7' {
		octal = octal<<3 + int(text[n]-'0')
		n++
	}
	if n > 0 {
		b.WriteByte(byte(octal))
		return n
	}
	b.WriteByte(text[0])
	return 1
}

// quoteSetting writes a value as ALTER SYSTEM does; a line break, which that refuses, as an escape.
func quoteSetting(value string) string {
	return "'" + strings.NewReplacer(`'`, `''`, `\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(value) + "'"
}

// directive returns the file that an include line names.
func (l confLine) directive() (kind, path string) {
	switch l.name {
	case "include", "include_dir", "include_if_exists":
		return l.name, l.value
	}
	return "", ""
}
