package pgctl

import (
	"fmt"
	"net"
	"strings"
)

// conninfo is a connection string of libpq's, in either of its forms, that can be changed word by word: what is not changed
// stays as its user wrote it, byte for byte (F62).
type conninfo struct {
	words []connWord
	rest  string // white space at the end
	uri   *connURI
}

// connWord is one keyword and its value. lead and sep are as they stood before it and between the two.
type connWord struct {
	lead, key, sep string
	raw            string // the value as written
	value          string
}

// String is the connection string.
func (c conninfo) String() string {
	if c.uri != nil {
		return c.uri.String()
	}
	var b strings.Builder
	for _, w := range c.words {
		b.WriteString(w.lead + w.key + w.sep + w.raw)
	}
	return b.String() + c.rest
}

// parseConninfo reads a connection string as libpq's PQconninfoParse does. It does not judge keywords.
func parseConninfo(text string) (conninfo, error) {
	if strings.ContainsRune(text, 0) {
		return conninfo{}, fmt.Errorf("%w: it has a zero byte", ErrConninfo)
	}
	for _, scheme := range []string{"postgresql://", "postgres://"} {
		if rest, found := strings.CutPrefix(text, scheme); found {
			u, err := parseConnURI(scheme, rest)
			return conninfo{uri: &u}, err
		}
	}
	return parseConnWords(text)
}

const blanks = " \t\n\v\f\r" // as C's isspace has them

func blank(c byte) bool { return strings.IndexByte(blanks, c) >= 0 }

func parseConnWords(text string) (conninfo, error) {
	var c conninfo
	for {
		rest := strings.TrimLeft(text, blanks)
		if rest == "" {
			c.rest = text
			return c, nil
		}
		w := connWord{lead: text[:len(text)-len(rest)]}
		n := strings.IndexAny(rest, "="+blanks)
		if n < 0 {
			return conninfo{}, fmt.Errorf("%w: no = after %q", ErrConninfo, rest)
		}
		w.key, rest = rest[:n], rest[n:]
		after := strings.TrimLeft(rest, blanks)
		if !strings.HasPrefix(after, "=") {
			return conninfo{}, fmt.Errorf("%w: no = after %q", ErrConninfo, w.key)
		}
		after = strings.TrimLeft(after[1:], blanks)
		w.sep = rest[:len(rest)-len(after)]
		value, width, ok := scanConnValue(after)
		if !ok {
			return conninfo{}, fmt.Errorf("%w: no closing quote after %s", ErrConninfo, w.key)
		}
		w.value, w.raw, text = value, after[:width], after[width:]
		c.words = append(c.words, w)
	}
}

// scanConnValue reads the value at the start of text, and how many bytes it takes.
func scanConnValue(text string) (value string, width int, ok bool) {
	var b strings.Builder
	quoted := strings.HasPrefix(text, "'")
	i := 0
	if quoted {
		i = 1
	}
	for ; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			if i++; i < len(text) {
				b.WriteByte(text[i])
			}
		case quoted && c == '\'':
			return b.String(), i + 1, true
		case !quoted && blank(c):
			return b.String(), i, true
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), min(i, len(text)), !quoted
}

// quoteConnValue writes a value so that libpq reads it back, with quotes only where they are needed or asked for.
func quoteConnValue(value string, always bool) string {
	plain := value != "" && strings.IndexFunc(value, func(r rune) bool {
		return r == '\'' || r == '\\' || r < 0x80 && blank(byte(r))
	}) < 0
	if plain && !always {
		return value
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}

// get returns a keyword's value: the last one given.
func (c conninfo) get(key string) string {
	value, _ := c.lookup(key)
	return value
}

func (c conninfo) lookup(key string) (value string, found bool) {
	if c.uri != nil {
		return c.uri.lookup(key)
	}
	for _, w := range c.words {
		if w.key == key {
			value, found = w.value, true
		}
	}
	return value, found
}

// set gives a keyword a value, where it stood last, or at the end.
func (c *conninfo) set(key, value string) {
	if c.uri != nil {
		c.uri.set(key, value)
		return
	}
	last := -1
	for i, w := range c.words {
		if w.key == key {
			last = i
		}
	}
	if last >= 0 && c.words[last].value != value {
		joined := last+1 < len(c.words) && c.words[last+1].lead == ""
		c.words[last].value, c.words[last].raw = value, quoteConnValue(value, joined)
	}
	if last < 0 {
		c.append(connWord{key: key, sep: "=", raw: quoteConnValue(value, false), value: value})
		return
	}
	c.remove(key, last)
}

func (c *conninfo) append(w connWord) {
	if n := len(c.words); n > 0 && c.words[n-1].open() {
		c.words[n-1].raw = quoteConnValue(c.words[n-1].value, true)
	}
	if len(c.words) > 0 || c.rest != "" {
		w.lead = " "
	}
	if c.rest != "" {
		w.lead, c.rest = c.rest, ""
	}
	c.words = append(c.words, w)
}

// drop takes a keyword out.
func (c *conninfo) drop(key string) {
	if c.uri != nil {
		c.uri.drop(key)
		return
	}
	c.remove(key, -1)
}

// remove takes every mention of the keyword out but that at the index given.
func (c *conninfo) remove(key string, but int) {
	var kept []connWord
	lead := "" // of a first word that was taken out
	for i, w := range c.words {
		if w.key == key && i != but {
			if len(kept) == 0 && lead == "" {
				lead = w.lead
			}
			continue
		}
		if len(kept) == 0 && i > 0 {
			w.lead = lead
		}
		if len(kept) > 0 && w.lead == "" && kept[len(kept)-1].bare() {
			w.lead = " " // the quoted value that kept them apart is gone
		}
		kept = append(kept, w)
	}
	c.words = kept
}

// bare says whether a blank must follow the word.
func (w connWord) bare() bool { return !strings.HasPrefix(w.raw, "'") }

// open says whether the word would take in what is written behind it: it ends the string, with nothing or with a lone
// backslash for a value's end.
func (w connWord) open() bool {
	slashes := len(w.raw) - len(strings.TrimRight(w.raw, `\`))
	return w.raw == "" || w.bare() && slashes%2 == 1
}

// keywords returns every keyword that has a value.
func (c conninfo) keywords() []string {
	if c.uri != nil {
		return c.uri.keywords()
	}
	keys := make([]string, 0, len(c.words))
	for _, w := range c.words {
		keys = append(keys, w.key)
	}
	return keys
}

// address is the host and port that it leads to, as JoinHostPort writes them; empty when it names no host.
func (c conninfo) address() string {
	host, port := c.get("host"), c.get("port")
	if host == "" {
		host = c.get("hostaddr")
	}
	if host == "" {
		return ""
	}
	if port == "" {
		port = fmt.Sprint(defaultPort)
	}
	return net.JoinHostPort(host, port)
}

// pointed returns the connection string changed so that it leads to address under that application_name. What of the words
// it lacks is added; of a service's or a password file's, which hold such words, nothing.
func (c conninfo) pointed(address, application string, words conninfo) (conninfo, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return conninfo{}, fmt.Errorf("upstream address %q: %w", address, err)
	}
	c = c.copied()
	_, service := c.lookup("service")
	if service {
		c.set("hostaddr", "") // one in the service's file would win over host; an empty one keeps it out
	} else {
		c.drop("hostaddr")
	}
	c.set("host", host)
	c.set("port", port)
	if application != "" {
		c.set("application_name", application)
	}
	_, passfile := c.lookup("passfile")
	for _, key := range words.keywords() {
		if c.says(key) || service || targeting(key) || passfile && key == "password" {
			continue
		}
		c.set(key, words.get(key))
	}
	return c, nil
}

// says tells whether a keyword is given, under its own name or under an old one that libpq takes for it.
func (c conninfo) says(key string) bool {
	_, found := c.lookup(key)
	if !found && key == "sslmode" {
		_, found = c.lookup("requiressl")
		found = found || c.uri != nil && c.get("ssl") == "true" // as JDBC has it
	}
	return found
}

// targeting says whether a keyword says where to, and so is never taken from the configured words.
func targeting(key string) bool {
	return key == "host" || key == "hostaddr" || key == "port" || key == "application_name"
}

func (c conninfo) copied() conninfo {
	c.words = append([]connWord(nil), c.words...)
	if c.uri != nil {
		u := *c.uri
		u.params = append([]connParam(nil), u.params...)
		c.uri = &u
	}
	return c
}
