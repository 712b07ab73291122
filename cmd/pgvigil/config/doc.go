// Package config reads pgvigil's configuration: a YAML file, the environment and flags, in rising precedence.
//
// Every key of the file is a field of Config, found by its yaml tag, and also an environment variable: PGVIGIL_ and the
// path in capitals, its dots as underscores (postgres.data_dir is PGVIGIL_POSTGRES_DATA_DIR; lists are separated by
// commas, maps are written name=value, a list of sections as YAML in one line). So a key that is added to the struct is known everywhere.
//
// A command that works on a cluster from elsewhere finds it by a context of the person's own file instead, and reaches it through
// etcd or through the API of any member: LoadClient.
//
// Reading is strict: a key that does not exist, that stands twice, or whose value is of another type is refused with its
// file and line, and with the key that was probably meant. All that is wrong is said at once, and each complaint says
// what to do next. Nothing here touches anything but the files that are read.
package config
