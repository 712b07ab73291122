// Package guardian runs the guard's process (package guard) from the same binary as everything else, and keeps it small. The
// main package imports it for its side effect alone:
//
//	import _ "github.com/pgvigil/pgvigil/cmd/pgvigil/guardian"
//
// Its init function looks whether this process was started as `pgvigil guard-process …` and, if so, runs the guard and ends the
// process, so that main is never reached. That is done in init, because the linker orders the initialisation of packages: always
// the one with the least import path among those whose own imports have had their turn. This one imports little and is called
// github.com/pgvigil/…, so its turn comes before google.golang.org/…, most of go.etcd.io/…, net/http and all that they bring:
// their tables of messages, metrics and certificates are never made in the guard, and the pages that hold them never touched.
//
// The order is easily lost: a package of the standard library has its place in it too, even if it has nothing to initialise. What
// this package imports, and all that that imports, must do without names late in the alphabet that PostgreSQL's and etcd's
// clients do not need as well: one import of runtime/debug, log/slog or path/filepath, and this package comes after protobuf. A
// test holds the list.
//
// What it promises: nothing happens in any other process; the guard's process never gets as far as reading a configuration or
// opening a connection.
//
// What it does not promise: that every package comes later. Those of the standard library with small names, and what needs no
// more than they, come before. They cost little.
package guardian
