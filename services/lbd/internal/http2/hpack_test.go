package http2

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2/hpack"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// fieldsOf decodes a block into lines "name: value"; ok is false for a block that cannot be decoded.
func fieldsOf(d *decoder, block []byte) (lines []string, ok bool) {
	a := &arena{room: 1 << 20}
	if block, ok = d.update(block); !ok {
		return nil, false
	}
	for len(block) > 0 {
		f, rest, keep, ok := d.next(block, a)
		if !ok {
			return lines, false
		}
		if keep {
			lines = append(lines, string(f.name.In(a.b))+": "+string(f.value.In(a.b)))
		}
		block = rest
	}
	return lines, true
}

// TestVectors are those of RFC 7541 appendix C.
func TestVectors(t *testing.T) {
	request := func(s string) string { return s + "; :scheme: http; :path: /; :authority: www.example.com" }
	f := func(limit int, steps ...string) {
		t.Helper()
		var d decoder
		d.table.reset()
		d.table.limit = limit
		for i := 0; i < len(steps); i += 3 {
			block, err := hex.DecodeString(strings.ReplaceAll(steps[i], " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			got, ok := fieldsOf(&d, block)
			if !ok || strings.Join(got, "; ") != steps[i+1] || fmt.Sprint(d.table.size) != steps[i+2] {
				t.Errorf("step %d: %q, %v, a table of %d; want %q and %s", i/3+1, got, ok, d.table.size, steps[i+1], steps[i+2])
			}
		}
	}
	f(4096, "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", "custom-key: custom-header", "55") // C.2.1
	f(4096, "040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path", "0")                                      // C.2.2
	f(4096, "1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret", "0")                                 // C.2.3
	f(4096, "82", ":method: GET", "0")                                                                             // C.2.4
	third := ":method: GET; :scheme: https; :path: /index.html; :authority: www.example.com; custom-key: custom-value"
	f(4096, // C.3
		"8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", request(":method: GET"), "57",
		"8286 84be 5808 6e6f 2d63 6163 6865", request(":method: GET")+"; cache-control: no-cache", "110",
		"8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", third, "164")
	f(4096, // C.4
		"8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", request(":method: GET"), "57",
		"8286 84be 5886 a8eb 1064 9cbf", request(":method: GET")+"; cache-control: no-cache", "110",
		"8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", third, "164")
	answers := []string{
		":status: 302; cache-control: private; date: Mon, 21 Oct 2013 20:13:21 GMT; location: https://www.example.com",
		":status: 307; cache-control: private; date: Mon, 21 Oct 2013 20:13:21 GMT; location: https://www.example.com",
		":status: 200; cache-control: private; date: Mon, 21 Oct 2013 20:13:22 GMT; location: https://www.example.com; " +
			"content-encoding: gzip; set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
	}
	f(256, // C.5
		"4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768"+
			"7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", answers[0], "222",
		"4803 3330 37c1 c0bf", answers[1], "222",
		"88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153"+
			"444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e"+
			"3d31", answers[2], "215")
	f(256, // C.6
		"4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8"+
			"e9ae 82ae 43d3", answers[0], "222",
		"4883 640e ffc1 c0bf", answers[1], "222",
		"88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b"+
			"3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07", answers[2], "215")
}

// TestBadBlocks are blocks that RFC 7541 calls errors, and those that hold more than we count.
func TestBadBlocks(t *testing.T) {
	f := func(block, about string) {
		t.Helper()
		var d decoder
		d.table.reset()
		b, err := hex.DecodeString(strings.ReplaceAll(block, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := fieldsOf(&d, b); ok {
			t.Errorf("%s: %s is taken as %q", about, block, got)
		}
	}
	f("80", "index 0")
	f("be", "an index behind the static table, with nothing there")
	f("7e 0161", "the name of an index with nothing there")
	f("ff", "an index that has not ended")
	f("ff ff ff ff ff ff 01", "an index that overflows")
	f("40", "a literal without a name")
	f("40 0161", "a literal without a value")
	f("40 0561 61", "a name longer than the block")
	f("40 0161 0562", "a value longer than the block")
	f("82 20", "a size update behind a field")
	f("3f e2 1f", "a table of 4097")
	f("20 20 20 82", "a third size update")
	f("00 8161 0161", "a Huffman code of 5 bits, padded with zeros") // 0x61: 01100 001
	f("00 82 1fff 0161", "eight bits of padding")
	f("00 84 ffff ffff 0161", "an end of string")
	f("00 85 1fff ffff ff 0161", "an end of string behind a symbol")
	f("00 81fe 0161", "padding that is not all ones")
}

// TestHuffman decodes every symbol in every place of a byte.
func TestHuffman(t *testing.T) {
	for c := range 256 {
		for before := range 8 {
			want := strings.Repeat("0", before) + string([]byte{byte(c)}) + "a"
			got, ok := appendHuffman(nil, hpack.AppendHuffmanString(nil, want))
			if !ok || string(got) != want {
				t.Fatalf("%q: %q, %v", want, got, ok)
			}
		}
	}
}

func TestStaticTable(t *testing.T) {
	var d decoder
	d.table.reset()
	theirs := hpack.NewDecoder(4096, nil)
	for i := 1; i < len(static); i++ {
		block := appendInteger(nil, 0x80, 7, i)
		want, err := theirs.DecodeFull(block)
		got, ok := fieldsOf(&d, block)
		if err != nil || !ok || got[0] != want[0].Name+": "+want[0].Value {
			t.Errorf("%d is %q, want %v, %v", i, got, want, err)
		}
		if l := &static[i]; (l.means.name == http1.OK) != (want[0].Name != "transfer-encoding") || l.means.value != http1.OK {
			t.Errorf("%d means %+v", i, l.means)
		}
	}
}

func TestEncode(t *testing.T) {
	var b []byte
	b = AppendStatus(b, 200)
	b = AppendStatus(b, 404)
	b = AppendStatus(b, 103)
	b = AppendField(b, []byte("Content-Type"), []byte("text/plain"))
	b = AppendField(b, []byte("X-Y"), bytes.Repeat([]byte("z"), 300))
	b = AppendField(b, []byte("Set-Cookie"), []byte("a=b"))
	b = AppendField(b, []byte("access-control-allow-origin"), nil)
	b = AppendLength(b, 12345678901)
	b = AppendRequest(b, []byte("GET"), []byte("http"), []byte("a"), []byte("/"))
	b = AppendRequest(b, []byte("PUT"), []byte("https"), []byte("b"), []byte("/x"))
	b = AppendRequest(b, []byte("CONNECT"), nil, []byte("c:1"), nil)
	got, err := hpack.NewDecoder(0, nil).DecodeFull(b)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range got {
		lines = append(lines, f.Name+": "+f.Value)
		if never := f.Name == "set-cookie"; f.Sensitive != never {
			t.Errorf("%s is never to be indexed: %v", f.Name, f.Sensitive)
		}
	}
	want := []string{
		":status: 200", ":status: 404", ":status: 103", "content-type: text/plain", "x-y: " + strings.Repeat("z", 300), "set-cookie: a=b",
		"access-control-allow-origin: ", "content-length: 12345678901",
		":method: GET", ":scheme: http", ":authority: a", ":path: /", ":method: PUT", ":scheme: https", ":authority: b", ":path: /x",
		":method: CONNECT", ":authority: c:1",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
}

// TestTableTurns fills the dynamic table many times over and compares it with another's after each block.
func TestTableTurns(t *testing.T) {
	var d decoder
	d.table.reset()
	var buf bytes.Buffer
	enc := hpack.NewEncoder(&buf)
	for i := range 3000 {
		buf.Reset()
		if i%500 == 499 {
			enc.SetMaxDynamicTableSize(uint32(i % 4096))
		}
		var want []string
		for k := range 4 {
			f := hpack.HeaderField{Name: fmt.Sprint("n", (i*k)%17), Value: strings.Repeat("v", (i*31+k)%700)}
			want = append(want, f.Name+": "+f.Value)
			enc.WriteField(f)
		}
		got, ok := fieldsOf(&d, buf.Bytes())
		if !ok {
			t.Fatalf("block %d cannot be decoded", i)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("block %d: %s", i, diff)
		}
		if d.table.size > d.table.limit || len(d.table.text) > 2*tableSize || cap(d.table.lines) > 1024 {
			t.Fatalf("a table of %d bytes, %d of text", d.table.size, len(d.table.text))
		}
	}
}

// FuzzDecode: what is decoded, another decoder decodes likewise; block after block.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x82\x86\x84\x41\x0fwww.example.com"), []byte("\x82\x86\x84\xbe\x58\x08no-cache"))
	f.Add([]byte("\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"), []byte("\x20\x3f\xe1\x1f\xbe"))
	f.Add([]byte("\x40\x01a\x01b\x7e\x01c\x00\x81\x1f\x00"), []byte("\xbf\xbe\xff\x00"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var d decoder
		d.table.reset()
		theirs := hpack.NewDecoder(4096, nil)
		for _, block := range [][]byte{first, second} {
			got, ok := fieldsOf(&d, block)
			want, err := theirs.DecodeFull(block)
			if !ok {
				return // we are stricter
			}
			if err != nil {
				t.Fatalf("%x is taken as %q, elsewhere %v", block, got, err)
			}
			var lines []string
			for _, f := range want {
				lines = append(lines, f.Name+": "+f.Value)
			}
			if diff := cmp.Diff(lines, got); diff != "" {
				t.Fatalf("%x: %s", block, diff)
			}
		}
	})
}

// FuzzEncode: what is encoded, here and by an encoder that compresses, decodes to itself.
func FuzzEncode(f *testing.F) {
	f.Add("content-type", "text/html", "x", "")
	f.Add("cookie", "a=b", "set-cookie", "\x00\xff")
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2 string) {
		n1, n2 = strings.ToLower(n1), strings.ToLower(n2)
		want := []string{n1 + ": " + v1, n2 + ": " + v2}
		if len(n1)+len(v1)+len(n2)+len(v2) > 1<<19 || n1 == "" || n2 == "" || strings.ToValidUTF8(n1+n2, "") != n1+n2 {
			return
		}
		var d decoder
		d.table.reset()
		ours := AppendField(AppendField(nil, []byte(n1), []byte(v1)), []byte(n2), []byte(v2))
		var buf bytes.Buffer
		enc := hpack.NewEncoder(&buf)
		enc.WriteField(hpack.HeaderField{Name: n1, Value: v1})
		enc.WriteField(hpack.HeaderField{Name: n2, Value: v2})
		for _, block := range [][]byte{ours, buf.Bytes(), ours} {
			got, ok := fieldsOf(&d, block)
			if !ok {
				t.Fatalf("%x cannot be decoded", block)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%x: %s", block, diff)
			}
		}
	})
}
