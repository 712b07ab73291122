package embedded

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// bridged returns etcd's logger over ours: warnings and worse, no more.
func bridged(log *slog.Logger) *zap.Logger {
	if log == nil {
		return zap.NewNop()
	}
	return zap.New(&bridge{log: log.With("component", "etcd")})
}

// bridge is a zap core that writes to slog.
type bridge struct{ log *slog.Logger }

// Enabled says which lines are worth their cost.
func (b *bridge) Enabled(level zapcore.Level) bool { return level >= zapcore.WarnLevel }

// With returns a bridge that adds the fields to each line.
func (b *bridge) With(fields []zapcore.Field) zapcore.Core {
	return &bridge{log: b.log.With(attributes(fields)...)}
}

// Check adds the bridge to those that write the line.
func (b *bridge) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if b.Enabled(entry.Level) {
		return checked.AddCore(entry, b)
	}
	return checked
}

// Write writes one line.
func (b *bridge) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	level := slog.LevelWarn
	if entry.Level >= zapcore.ErrorLevel {
		level = slog.LevelError
	}
	b.log.Log(context.Background(), level, entry.Message, attributes(fields)...)
	return nil
}

// Sync has nothing to do.
func (b *bridge) Sync() error { return nil }

// attributes turns zap's fields into slog's.
func attributes(fields []zapcore.Field) []any {
	encoder := zapcore.NewMapObjectEncoder()
	var attrs []any
	for _, field := range fields {
		field.AddTo(encoder)
		if value, ok := encoder.Fields[field.Key]; ok {
			attrs = append(attrs, slog.Any(field.Key, value))
		}
	}
	return attrs
}
