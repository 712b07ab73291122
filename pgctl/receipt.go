package pgctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// receiptsDir is where receipts are kept, under the state directory.
const receiptsDir = "receipts"

// receipt is a divergence receipt's summary: what a server had that its cluster has gone on without.
type receipt struct {
	Term         watchdog.Term     `json:"term"`
	Timeline     watchdog.Timeline `json:"timeline"`
	Fork         watchdog.LSN      `json:"fork"`
	End          watchdog.LSN      `json:"end"`
	Exact        bool              `json:"exact"` // End is that of the last whole record; else of the last page
	Bytes        uint64            `json:"bytes"`
	Transactions *int              `json:"transactions"` // committed past the fork; null: not known
	Segments     []string          `json:"segments"`     // kept beside
	Missing      []string          `json:"missing,omitempty"`
	Time         time.Time         `json:"time"`
}

// line is the receipt in one line.
func (r receipt) line(dir string) string {
	transactions := "an unknown number of transactions"
	if r.Transactions != nil {
		transactions = fmt.Sprintf("%d transactions", *r.Transactions)
		if *r.Transactions == 1 {
			transactions = "1 transaction"
		}
	}
	return fmt.Sprintf("%s in %d bytes of timeline %d, from %s to %s, were on this server alone; kept in %s",
		transactions, r.Bytes, r.Timeline, r.Fork, r.End, dir)
}

// Receipt keeps what only this stopped server has past fork: the segments and a summary. It may be called again: a receipt
// with its summary is whole and is not made anew.
//
// Segments are copied, not linked: pg_rewind and a server that recycles them write into the same files.
func (in *Instance) Receipt(ctx context.Context, term watchdog.Term, timeline watchdog.Timeline, fork watchdog.LSN) (string, error) {
	if in.config.StateDir == "" {
		return "", errors.New("keep a divergence receipt: there is no state directory")
	}
	dir := filepath.Join(in.config.StateDir, receiptsDir, fmt.Sprintf("%d-%d", term, timeline))
	if r, err := readReceipt(dir); err == nil {
		return r.line(dir), nil
	}
	r, err := in.makeReceipt(ctx, dir, timeline, fork)
	if err != nil {
		return "", fmt.Errorf("keep a divergence receipt: %w", err)
	}
	r.Term = term
	data, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = replaceFile(filepath.Join(dir, "summary.json"), append(data, '\n'), 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("keep a divergence receipt: %w", err)
	}
	return r.line(dir), nil
}

func readReceipt(dir string) (receipt, error) {
	var r receipt
	data, err := os.ReadFile(filepath.Join(dir, "summary.json"))
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	return r, err
}

// makeReceipt keeps the segments and counts what is in them.
func (in *Instance) makeReceipt(ctx context.Context, dir string, timeline watchdog.Timeline, fork watchdog.LSN) (receipt, error) {
	end, err := in.DeadEnd(ctx, timeline, fork)
	if err != nil {
		return receipt{}, err
	}
	if timeline == 0 {
		timeline = end.Timeline
	}
	r := receipt{Timeline: timeline, Fork: fork, End: end.End, Exact: end.Exact, Segments: []string{}, Time: time.Now().UTC()}
	c, err := in.control(ctx)
	if err != nil {
		return r, err
	}
	d, err := in.wal(c)
	if err != nil {
		return r, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return r, err
	}
	if err := d.count(ctx, &r); err != nil {
		in.log.Warn("the transactions past the fork cannot be counted", "fork", fork, "timeline", timeline, "error", err)
	}
	r.Bytes = r.Fork.Behind(r.End)
	for at := d.segmentStart(fork); at < r.End; at = d.nextSegment(at) {
		name := d.fileName(timeline, at)
		err := copyDurably(ctx, filepath.Join(d.path, name), filepath.Join(dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			r.Missing = append(r.Missing, name)
		case err != nil:
			return r, err
		default:
			r.Segments = append(r.Segments, name)
		}
	}
	err = copyDurably(ctx, filepath.Join(d.path, historyName(timeline)), filepath.Join(dir, historyName(timeline)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	return r, syncDir(dir)
}

// count follows the records past the fork: to their exact end, and counts the transactions that they commit.
func (d walFiles) count(ctx context.Context, r *receipt) error {
	if !d.records {
		return errors.New("this version's records are not read")
	}
	reader := walReader{walFiles: d, candidates: []watchdog.Timeline{r.Timeline}}
	defer reader.close()
	f, err := reader.follow(ctx, r.Fork, nil)
	if err != nil {
		return err
	}
	r.End, r.Exact, r.Transactions = f.end, true, &f.commits
	return nil
}

// copyDurably copies a file and syncs the copy.
func copyDurably(ctx context.Context, from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	copied, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err = ctx.Err(); err == nil {
		_, err = io.Copy(copied, source)
	}
	if err == nil {
		err = copied.Sync()
	}
	return errors.Join(err, copied.Close())
}
