package pgctl

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func mustParse(t testing.TB, text string) conninfo {
	t.Helper()
	c, err := parseConninfo(text)
	if err != nil {
		t.Fatalf("parse %q: %v", text, err)
	}
	return c
}

func TestConninfoPointed(t *testing.T) {
	for _, c := range []struct{ name, text, words, address, want string }{
		{"nothing yet", "", "", "h:1", "host=h port=1 application_name=me"},
		{"the words' where nothing is", "", "user=u password='a b'", "h:1", "host=h port=1 application_name=me user=u password='a b'"},
		{"the user's words win", "user=x", "user=u sslmode=require", "h:1", "user=x host=h port=1 application_name=me sslmode=require"},
		{"nothing to change", "host = 'h'  port=1\tapplication_name=me ", "", "h:1", "host = 'h'  port=1\tapplication_name=me "},
		{"only what changes", " user = 'it\\'s' host = old port='5'  sslmode=require", "", "h:1", " user = 'it\\'s' host = h port=1  sslmode=require application_name=me"},
		{"hosts collapse", "host=a,b port=1,2 hostaddr=1.2.3.4,5.6.7.8 user=u", "", "h:7", "host=h port=7 user=u application_name=me"},
		{"hostaddr first", "hostaddr=1.2.3.4 user=u", "", "h:7", "user=u host=h port=7 application_name=me"},
		{"the last of many", "host=a host=b user=u port=1 port=2", "", "b:2", "host=b user=u port=2 application_name=me"},
		{"quoted words side by side", "user='a'host='x'port='1'", "", "h:2", "user='a'host='h'port=2 application_name=me"},
		{"a quoted word between goes", "port=1 hostaddr='1'user=u", "", "h:2", "port=2 user=u host=h application_name=me"},
		{"a service holds the words", "service=main", "user=u", "h:2", "service=main hostaddr='' host=h port=2 application_name=me"},
		{"a URI's service", "postgresql:///?service=main&hostaddr=1", "", "h:2", "postgresql://h:2/?service=main&hostaddr=&application_name=me"},
		{"an old word for sslmode", "requiressl=1", "sslmode=prefer", "h:2", "requiressl=1 host=h port=2 application_name=me"},
		{"JDBC's word for sslmode", "postgresql:///?ssl=true", "sslmode=prefer", "h:2", "postgresql://h:2/?ssl=true&application_name=me"},
		{"a password file holds the password", "passfile=/p", "password=p user=u", "h:2", "passfile=/p host=h port=2 application_name=me user=u"},
		{"words lead nowhere", "", "host=no port=9 hostaddr=1 application_name=no user=u", "h:2", "host=h port=2 application_name=me user=u"},
		{"words as a URI", "", "postgresql://u:p%20w@no/d?sslmode=require", "h:2", "host=h port=2 application_name=me user=u password='p w' dbname=d sslmode=require"},
		{"IPv6", "host=a", "", "[fe80::1%eth0]:2", "host=fe80::1%eth0 port=2 application_name=me"},
		{"URI", "postgresql://u:p%40w@old:1/db?sslmode=require", "", "h:2", "postgresql://u:p%40w@h:2/db?sslmode=require&application_name=me"},
		{"URI without anything", "postgres://", "user=u", "h:2", "postgres://h:2?application_name=me&user=u"},
		{"URI with a list", "postgresql://a:1,[::1]:2/db", "", "[::1]:2", "postgresql://[::1]:2/db?application_name=me"},
		{"URI with all in the query", "postgresql:///?user=u&host=%2Ftmp&port=5&hostaddr=1&application_name=me", "", "h:2", "postgresql://h:2/?user=u&application_name=me"},
		{"URI with a zone", "postgresql://a/db", "", "[fe80::1%eth0]:2", "postgresql://[fe80::1%25eth0]:2/db?application_name=me"},
		{"URI that is right already", "postgresql://u@h:2/?application_name=me", "", "h:2", "postgresql://u@h:2/?application_name=me"},
		{"URI with a socket", "postgresql://%2Ftmp/db", "", "h:2", "postgresql://h:2/db?application_name=me"},
	} {
		got, err := mustParse(t, c.text).pointed(c.address, "me", mustParse(t, c.words))
		if err != nil || got.String() != c.want {
			t.Errorf("%s: %q, %v; want %q", c.name, got.String(), err, c.want)
		}
		if again, err := mustParse(t, c.want).pointed(c.address, "me", mustParse(t, c.words)); err != nil || again.String() != c.want {
			t.Errorf("%s: pointed twice: %q, %v", c.name, again.String(), err)
		}
		if got := mustParse(t, c.want).address(); got != c.address {
			t.Errorf("%s: leads to %q", c.name, got)
		}
	}
	if _, err := mustParse(t, "").pointed("nowhere", "me", conninfo{}); err == nil {
		t.Error("an address without port was taken")
	}
}

func TestConninfoAddress(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "",
		"user=u":                                "",
		"host=h":                                "h:5432",
		"hostaddr=1.2.3.4 port=1":               "1.2.3.4:1",
		"host=a,b port=1,2":                     "a,b:1,2",
		"host=/tmp":                             "/tmp:5432",
		"postgresql://u@h":                      "h:5432",
		"postgresql://[::1]:7/x":                "[::1]:7",
		"postgresql://a:1,b/x":                  "a,b:1,",
		"postgresql:///x":                       "",
		"postgresql://h:1/x?port=2&host=%68%31": "h1:2",
	} {
		if got := mustParse(t, text).address(); got != want {
			t.Errorf("%q leads to %q, want %q", text, got, want)
		}
	}
}

func TestConninfoRefused(t *testing.T) {
	for _, text := range []string{
		"word", "a b=c", "host='x", `host='x\'`, "host=x y", "a=b\x00", "postgresql://h?x", "postgresql://h?x=y=z",
		"postgresql://%zz", "postgresql://h?x=%4", "postgresql://u%00@h", "postgresql://[::1", "postgresql://[]/", "postgresql://[::1]x/",
	} {
		if c, err := parseConninfo(text); !errors.Is(err, ErrConninfo) {
			t.Errorf("%q was taken for %q, %v", text, c.String(), err)
		}
	}
}

// TestConninfoAsPgx compares what we read with what pgx reads.
func TestConninfoAsPgx(t *testing.T) {
	for _, text := range []string{
		"user=u password=p host=h port=7 dbname=d sslmode=disable",
		`user = 'a b' password='it\'s \\ ' host=h dbname = d sslmode=disable`,
		`user=a\ b password=\'x host=h sslmode=disable`,
		"postgresql://u:p%40w@h:7/d%20b?sslmode=disable",
		"postgresql://h/d?user=u&password=p&sslmode=disable",
	} {
		theirs, err := pgconn.ParseConfig(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		c := mustParse(t, text)
		if c.get("user") != theirs.User || c.get("password") != theirs.Password || c.get("host") != theirs.Host ||
			c.get("dbname") != theirs.Database && theirs.Database != "" {
			t.Errorf("%q: we read %q %q %q %q, pgx %q %q %q %q", text, c.get("user"), c.get("password"), c.get("host"), c.get("dbname"),
				theirs.User, theirs.Password, theirs.Host, theirs.Database)
		}
	}
}

// FuzzConninfo holds that a string that is taken is written back byte for byte, that pointing it elsewhere changes that
// alone, and that a value that we write is read by us and by pgx.
func FuzzConninfo(f *testing.F) {
	for _, text := range []string{
		"", "host=a port=1", awkward, "user='a'host=b", " a = b ", "a=\\", "host= port=1", "postgresql://u:p@[::1]:1,b/d?x=y&host=c",
		"postgres://", "a='b'c='d'hostaddr=x", "hostaddr=''a=b", "\v", "postgresql://a,[b]/?", "postgresql://@/",
	} {
		f.Add(text, awkwardPassword)
	}
	f.Add("host=h", "'")
	f.Add("host=h", " \\")
	f.Fuzz(func(t *testing.T, text, value string) {
		checkPassword(t, value)
		c, err := parseConninfo(text)
		if err != nil {
			return
		}
		if c.String() != text {
			t.Fatalf("%q came back as %q", text, c.String())
		}
		moved, err := c.pointed("10.1.2.3:4567", "node two", conninfo{})
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseConninfo(moved.String())
		if err != nil {
			t.Fatalf("%q was changed to %q: %v", text, moved.String(), err)
		}
		for key, want := range map[string]string{"host": "10.1.2.3", "port": "4567", "application_name": "node two", "hostaddr": ""} {
			if got := again.get(key); got != want {
				t.Errorf("%q was changed to %q: %s is %q", text, moved.String(), key, got)
			}
		}
		ours := []string{"host", "port", "application_name", "hostaddr"}
		for _, key := range c.keywords() {
			if !slices.Contains(ours, key) && again.get(key) != c.get(key) {
				t.Errorf("%q was changed to %q: %s was %q and is %q", text, moved.String(), key, c.get(key), again.get(key))
			}
		}
	})
}

func checkPassword(t *testing.T, value string) {
	t.Helper()
	if strings.ContainsRune(value, 0) {
		return
	}
	for _, base := range []string{"user=u host=h sslmode=disable", "postgresql://u@h/d?sslmode=disable"} {
		c := mustParse(t, base)
		c.set("password", value)
		if got := mustParse(t, c.String()).get("password"); got != value {
			t.Errorf("password %q was written as %q and read as %q", value, c.String(), got)
		}
		theirs, err := pgconn.ParseConfig(c.String())
		if value != "" && (err != nil || theirs.Password != value) {
			t.Errorf("password %q was written as %q, of which pgx makes %v, %v", value, c.String(), theirs, err)
		}
	}
}
