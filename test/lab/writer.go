package lab

import (
	"context"
	"fmt"
	"time"

	"github.com/pgvigil/pgvigil/pgctl/writer"
)

// Writer writes to all nodes of a cluster.
type Writer struct {
	*writer.Writer
	cluster *Cluster
}

// Verdict is what reading back showed.
type Verdict = writer.Verdict

// StartWriter begins to write.
func (c *Cluster) StartWriter() *Writer {
	w := &Writer{writer.Start(writer.Options{Table: "written", IDs: &c.ids}), c}
	for _, n := range c.Nodes {
		w.Include(n)
	}
	return w
}

// Include has it write to a node that was added, too.
func (w *Writer) Include(n *Node) {
	w.Writer.Include(writer.Target{Name: n.Name, Conninfo: n.Conninfo()})
}

// AckedSince is how many writes the node has acknowledged since.
func (w *Writer) AckedSince(n *Node, since time.Time) int { return w.Writer.AckedSince(n.Name, since) }

// SentAndAckedBy is how many writes that were sent to the node after since it has acknowledged.
func (w *Writer) SentAndAckedBy(n *Node, since time.Time) int {
	return w.Writer.SentAndAckedBy(n.Name, since)
}

// FirstAck is when the node first acknowledged a write after from; now if it has not.
func (w *Writer) FirstAck(n *Node, from time.Time) time.Time {
	return w.Writer.FirstAck(n.Name, from)
}

// WaitAck waits for a write acknowledged by the node after from.
func (w *Writer) WaitAck(ctx context.Context, within time.Duration, n *Node, from time.Time) error {
	return w.cluster.Until(ctx, "a write acknowledged by "+n.Name, within, func() bool { return w.AckedSince(n, from) > 0 })
}

// Verify reads every row back from the node and compares.
func (w *Writer) Verify(ctx context.Context, n *Node) (Verdict, error) {
	conn, err := n.Connect(ctx)
	if err != nil {
		return Verdict{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	v, err := w.Writer.Verify(ctx, conn)
	if err != nil {
		err = fmt.Errorf("%s: %w", n.Name, err)
	}
	return v, err
}
