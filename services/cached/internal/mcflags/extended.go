package mcflags

import (
	"math"
	"strings"
)

// suboption is a word of -o. Without why it has an effect here.
type suboption struct {
	name string
	arg  argument // needsArgument, or noArgument: a value is no fault, as with memcached
	set  func(p *parser, value string) error
	why  string
}

// extended reads the argument of -o as the C library's getsubopt does: words between commas, values behind the first =. An empty word is
// unknown like any other; nothing behind the last comma is none.
func (p *parser) extended(list string) error {
	all := suboptions()
	for list != "" {
		var word string
		word, list, _ = strings.Cut(list, ",")
		name, value, attached := strings.Cut(word, "=")
		s := find(all, name)
		p.at = "-o " + name
		switch {
		case s == nil:
			p.at = "-o " + quote(name)
			return wrong(p.at, "there is no such sub-option")
		case s.arg == needsArgument && !attached:
			return wrong(p.at, "its value is missing")
		}
		if s.why != "" {
			p.note(p.at, "%s", s.why)
		}
		if s.set == nil {
			continue
		}
		if err := s.set(p, value); err != nil {
			return err
		}
	}
	return nil
}

func find(all []suboption, name string) *suboption {
	for i := range all {
		if all[i].name == name {
			return &all[i]
		}
	}
	return nil
}

// Why sub-options do nothing.
const (
	noSlabs         = "there are no slabs: memory moves between sizes by itself"
	noHash          = "the index sizes itself and is seeded"
	noLRU           = "the eviction policy adapts itself; it has no queues to tune"
	noCrawler       = "expired items are removed as their time comes, without a crawler"
	crawlerCommands = "it decides about the commands crawl and metadump alone: expired items are removed as their time comes in any case"
	noSeccomp       = "no system calls are filtered"
	noFlash         = "there is no storage on flash"
	bounded         = "this buffer has a bound of its own"
)

func suboptions() []suboption {
	return append(append(append(generalSuboptions(), slabSuboptions()...), tlsSuboptions()...), extSuboptions()...)
}

func generalSuboptions() []suboption {
	return []suboption{
		{"maxconns_fast", noArgument, func(p *parser, _ string) error { p.MaxConnsFast = true; return nil }, ""},
		{"no_maxconns_fast", noArgument, func(p *parser, _ string) error { p.MaxConnsFast = false; return nil }, ""},
		{"idle_timeout", needsArgument, (*parser).idleTimeout, ""},
		{"track_sizes", noArgument, func(p *parser, _ string) error { p.TrackSizes = true; return nil }, ""},
		{"no_track_sizes", noArgument, func(p *parser, _ string) error { p.TrackSizes = false; return nil }, ""},
		{"modern", noArgument, nil, "memcached's newer defaults change nothing here"},
		{"no_modern", noArgument, (*parser).noModern, "of memcached 1.4's defaults only the waiting of connections too many has a meaning here"},
		{"hashpower", needsArgument, number(func(k *Kept) *int64 { return &k.HashPower }, span{12, 32, "is not within 12 and 32"}), noHash},
		{"hashexpand", noArgument, nil, noHash},
		{"no_hashexpand", noArgument, nil, noHash},
		{"hash_algorithm", needsArgument, (*parser).hashAlgorithm, noHash},
		{"watcher_logbuf_size", needsArgument, sized(func(k *Kept) *int64 { return &k.WatcherBuf }, 1<<10), bounded},
		{"worker_logbuf_size", needsArgument, sized(func(k *Kept) *int64 { return &k.WorkerBuf }, 1<<10), bounded},
		{"read_buf_mem_limit", needsArgument, sized(func(k *Kept) *int64 { return &k.ReadBufLimit }, 1<<20), bounded},
		{"resp_obj_mem_limit", noArgument, nil, "it has no meaning in memcached any more"},
		{"inline_ascii_resp", noArgument, nil, "it has no meaning in memcached any more"},
		{"no_inline_ascii_resp", noArgument, nil, "it has no meaning in memcached any more"},
		{"drop_privileges", noArgument, nil, noSeccomp},
		{"no_drop_privileges", noArgument, nil, noSeccomp},
		{"relaxed_privileges", noArgument, nil, noSeccomp},
		{"sock_cookie_id", needsArgument, number(nil, span{0, math.MaxUint32, "is not a number of 32 bits"}), "Linux has no such mark on sockets"},
		{"proxy_config", noArgument, (*parser).noProxy, ""},
		{"proxy_arg", noArgument, (*parser).noProxy, ""},
		{"proxy_uring", noArgument, (*parser).noProxy, ""},
		{"proxy_memprofile", noArgument, (*parser).noProxy, ""},
	}
}
