package pgctl

import (
	"fmt"
	"strings"
)

// connURI is a connection string in URI form, in pieces that are kept as they were written.
type connURI struct {
	scheme string
	user   string      // with its @, undecoded
	hosts  string      // host[:port],…
	path   string      // with its /
	query  string      // with its ?, as it was
	params []connParam // in order; written anew once one has changed
	edited bool
}

// connParam is one parameter of the query, undecoded.
type connParam struct{ key, value string }

// String is the URI.
func (u connURI) String() string {
	var b strings.Builder
	b.WriteString(u.scheme + u.user + u.hosts + u.path)
	if !u.edited {
		return b.String() + u.query
	}
	for i, p := range u.params {
		b.WriteByte("?&"[min(i, 1)])
		b.WriteString(p.key + "=" + p.value)
	}
	return b.String()
}

// parseConnURI reads what follows the scheme, as libpq's conninfo_uri_parse_options does: credentials end at the first @
// before a slash.
func parseConnURI(scheme, rest string) (connURI, error) {
	u := connURI{scheme: scheme}
	if n := strings.IndexAny(rest, "@/"); n >= 0 && rest[n] == '@' {
		u.user, rest = rest[:n+1], rest[n+1:]
	}
	n := hostsEnd(rest)
	u.hosts, rest = rest[:n], rest[n:]
	query := ""
	if path, params, found := strings.Cut(rest, "?"); found {
		u.path, query, u.query = path, params, "?"+params
	} else {
		u.path = rest
	}
	for query != "" {
		var text string
		text, query, _ = strings.Cut(query, "&")
		key, value, found := strings.Cut(text, "=")
		if !found || strings.Contains(value, "=") {
			return connURI{}, fmt.Errorf("%w: parameter %q of the URI is not key=value", ErrConninfo, key)
		}
		u.params = append(u.params, connParam{key, value})
	}
	return u, u.check()
}

// hostsEnd returns where the hosts end: at a slash or question mark outside of an address in brackets.
func hostsEnd(text string) int {
	if strings.HasPrefix(text, "[") || strings.Contains(text, ",[") {
		depth := 0
		for i, c := range []byte(text) {
			switch {
			case c == '[':
				depth = 1
			case c == ']':
				depth = 0
			case (c == '/' || c == '?') && depth == 0:
				return i
			}
		}
		return len(text)
	}
	if n := strings.IndexAny(text, "/?"); n >= 0 {
		return n
	}
	return len(text)
}

// check reads every piece once.
func (u connURI) check() error {
	name, password, _ := strings.Cut(strings.TrimSuffix(u.user, "@"), ":")
	pieces := []string{name, password, u.hosts, u.path}
	for _, p := range u.params {
		pieces = append(pieces, p.key, p.value)
	}
	for _, piece := range pieces {
		if _, ok := percentDecode(piece); !ok {
			return fmt.Errorf("%w: bad percent-encoding in the URI", ErrConninfo)
		}
	}
	if _, _, ok := u.hostPort(); !ok {
		return fmt.Errorf("%w: bad IPv6 address in the URI", ErrConninfo)
	}
	return nil
}

// hostPort returns the hosts and ports of the URI's authority, comma-separated as libpq keeps them, decoded.
func (u connURI) hostPort() (host, port string, ok bool) {
	var hosts, ports []string
	for rest, more := u.hosts, true; more; {
		var h, p string
		if inner, bracketed := strings.CutPrefix(rest, "["); bracketed {
			var found bool
			if h, rest, found = strings.Cut(inner, "]"); !found || h == "" || rest != "" && rest[0] != ':' && rest[0] != ',' {
				return "", "", false
			}
		} else {
			n := strings.IndexAny(rest, ":,")
			if n < 0 {
				n = len(rest)
			}
			h, rest = rest[:n], rest[n:]
		}
		p, rest, more = strings.Cut(rest, ",")
		hosts, ports = append(hosts, h), append(ports, strings.TrimPrefix(p, ":"))
	}
	host, _ = percentDecode(strings.Join(hosts, ","))
	port, _ = percentDecode(strings.Join(ports, ","))
	if len(hosts) > 1 && strings.Trim(port, ",") == "" {
		port = ""
	}
	return host, port, true
}

// lookup returns a keyword's value; a parameter wins over the place that a URI has for it, and the last over the first.
func (u connURI) lookup(key string) (value string, found bool) {
	for _, p := range u.params {
		if decoded, _ := percentDecode(p.key); decoded == key {
			value, _ = percentDecode(p.value)
			found = true
		}
	}
	if found {
		return value, true
	}
	name, password, _ := strings.Cut(strings.TrimSuffix(u.user, "@"), ":")
	switch key {
	case "user":
		value, _ = percentDecode(name)
	case "password":
		value, _ = percentDecode(password)
	case "host":
		value, _, _ = u.hostPort()
	case "port":
		_, value, _ = u.hostPort()
	case "dbname":
		value, _ = percentDecode(strings.TrimPrefix(u.path, "/"))
	}
	return value, value != ""
}

// keywords returns every keyword that has a value.
func (u connURI) keywords() []string {
	var keys []string
	for _, key := range []string{"user", "password", "host", "port", "dbname"} {
		if _, found := u.lookup(key); found {
			keys = append(keys, key)
		}
	}
	for _, p := range u.params {
		key, _ := percentDecode(p.key)
		keys = append(keys, key)
	}
	return keys
}

// set gives a keyword a value: host and port in the authority, all else as a parameter.
func (u *connURI) set(key, value string) {
	if old, found := u.lookup(key); found && old == value {
		return
	}
	if key != "host" && key != "port" {
		u.drop(key)
		u.params, u.edited = append(u.params, connParam{percentEncode(key), percentEncode(value)}), true
		return
	}
	host, port := u.lookupHostPort()
	u.drop("host")
	u.drop("port")
	if key == "host" {
		host = value
	} else {
		port = value
	}
	if strings.Contains(host, ":") && !strings.ContainsAny(host, "/,") {
		u.hosts = "[" + strings.ReplaceAll(percentEncode(host), "%3A", ":") + "]" // a zone's % is an escape here
	} else {
		u.hosts = percentEncode(host)
	}
	if port != "" {
		u.hosts += ":" + percentEncode(port)
	}
}

// lookupHostPort returns both, a list of ports reduced to what one host can have.
func (u connURI) lookupHostPort() (host, port string) {
	host, _ = u.lookup("host")
	port, _ = u.lookup("port")
	if strings.Contains(port, ",") {
		port = ""
	}
	return host, port
}

// drop takes a keyword's parameters out.
func (u *connURI) drop(key string) {
	var kept []connParam
	for _, p := range u.params {
		if decoded, _ := percentDecode(p.key); decoded != key {
			kept = append(kept, p)
		}
	}
	u.edited = u.edited || len(kept) < len(u.params)
	u.params = kept
}

// percentDecode decodes as libpq does: a plus sign is a plus sign, and a zero byte is refused.
func percentDecode(text string) (string, bool) {
	if !strings.Contains(text, "%") {
		return text, true
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			b.WriteByte(text[i])
			continue
		}
		if i+2 >= len(text) {
			return "", false
		}
		high, low := hexDigit(text[i+1]), hexDigit(text[i+2])
		if high < 0 || low < 0 || high|low == 0 {
			return "", false
		}
		b.WriteByte(byte(high<<4 | low))
		i += 2
	}
	return b.String(), true
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// percentEncode writes all but unreserved characters as escapes.
func percentEncode(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
