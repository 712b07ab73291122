package watchdog

import (
	"strings"
	"testing"
)

const wholeRecord = `{"system_id":"7","term":3,"seq":9,"phase":"normal","primary":"node1","taken":true,"last_taker":{"name":"node1","term":3},
"timeline":2,"members":["node1"],"durability":{"mode":"async"},"reason":"promoted","since":"2026-01-01T00:00:00Z","from_the_future":{"a":[1,2]}}`

func TestRecordKeepsWhatALaterVersionWrote(t *testing.T) {
	r, err := DecodeRecord([]byte(wholeRecord))
	if err != nil {
		t.Fatal(err)
	}
	data, err := EncodeRecord(r.confirming([]string{"node1", "node2"}))
	if err != nil {
		t.Fatal(err)
	}
	again, err := DecodeRecord(data)
	if err != nil || string(again.Extra["from_the_future"]) != `{"a":[1,2]}` || again.Seq != 10 || len(again.Members) != 2 || len(again.Extra) != 1 {
		t.Errorf("got %+v, %v from %s", again, err, data)
	}
}

func TestRecordsThatNoPgvigilWroteAreRefused(t *testing.T) {
	for _, bad := range []string{
		"", "null", "[]", "{}", `"x"`, "{", wholeRecord + "x",
		strings.Replace(wholeRecord, `"term":3`, `"term":0`, 1),
		strings.Replace(wholeRecord, `"term":3`, `"term":"three"`, 1),
		strings.Replace(wholeRecord, `"normal"`, `"resting"`, 1),
		strings.Replace(wholeRecord, `"normal"`, `"electing"`, 1),
		strings.Replace(wholeRecord, `"primary":"node1",`, ``, 1),
		strings.Replace(wholeRecord, `"async"`, `"maybe"`, 1),
		strings.Replace(wholeRecord, `"system_id":"7",`, ``, 1),
	} {
		if r, err := DecodeRecord([]byte(bad)); err == nil {
			t.Errorf("accepted %s as %+v", bad, r)
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add([]byte(wholeRecord))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeRecord(data)
		if err != nil {
			return
		}
		encoded, err := EncodeRecord(r)
		if err != nil {
			t.Fatalf("decoded and not encoded: %v", err)
		}
		if _, err := DecodeRecord(encoded); err != nil {
			t.Fatalf("%s became %s: %v", data, encoded, err)
		}
	})
}
