package stats

import (
	"strconv"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
)

// Settings are the lines of `stats settings`.
func Settings(env *session.Env, emit Emit) {
	var given []session.Pair
	if env.Settings != nil {
		given = env.Settings()
	}
	live := []session.Pair{
		{Name: "detail_enabled", Value: yes(env.Prefixes.On())},
		{Name: "lru_crawler", Value: yes(!env.CrawlerOff.Load())},
		{Name: "maxbytes", Value: signed(env.Store.Limit())},
	}
	merge(settings(env), append(given, live...), emit)
}

// Setting is the value of one of Env.Settings, "" when it is not there.
func Setting(env *session.Env, name string) string {
	if env.Settings == nil {
		return ""
	}
	for _, p := range env.Settings() {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// settings are memcached's lines in its order, with its defaults where cached has no such thing.
func settings(env *session.Env) []session.Pair {
	delimiter := ":"
	if d := env.Prefixes.Delimiter; d != 0 {
		delimiter = string(rune(d))
	}
	pairs := [][2]string{
		{"maxbytes", ""}, {"maxconns", "1024"}, {"tcpport", "11211"}, {"udpport", "0"}, {"inter", "NULL"}, {"verbosity", "0"},
		{"oldest", "0"}, {"evictions", "on"}, {"domain_socket", "NULL"}, {"umask", "700"},
		{"shutdown_command", yes(env.Shutdown != nil)}, {"growth_factor", "1.25"}, {"chunk_size", "48"}, {"num_threads", "4"},
		{"num_threads_per_udp", "4"}, {"stat_key_prefix", delimiter}, {"detail_enabled", ""}, {"reqs_per_event", strconv.Itoa(session.Turn)},
		{"cas_enabled", yes(!env.NoCAS)}, {"tcp_backlog", "1024"}, {"binding_protocol", "auto-negotiate"},
		{"auth_enabled_sasl", yes(env.SASL)}, {"auth_enabled_ascii", yes(env.TextAuth)}, {"item_size_max", signed(env.Store.MaxItem())},
		{"maxconns_fast", "yes"}, {"hashpower_init", "0"}, {"slab_reassign", "yes"}, {"slab_automove", "1"},
		{"slab_automove_ratio", "0.80"}, {"slab_automove_window", "30"}, {"slab_chunk_max", strconv.Itoa(engine.LargestChunk)},
		{"lru_crawler", ""}, {"lru_crawler_sleep", "100"}, {"lru_crawler_tocrawl", "0"}, {"tail_repair_time", "0"},
		{"flush_enabled", yes(!env.NoFlush)}, {"dump_enabled", yes(!env.NoDump)}, {"hash_algorithm", "seeded"},
		{"lru_maintainer_thread", "yes"}, {"lru_segmented", "yes"}, {"hot_lru_pct", "20"}, {"warm_lru_pct", "40"},
		{"hot_max_factor", "0.20"}, {"warm_max_factor", "2.00"}, {"temp_lru", "no"}, {"temporary_ttl", "61"}, {"idle_timeout", "0"},
		{"watcher_logbuf_size", "262144"}, {"worker_logbuf_size", "65536"}, {"read_buf_mem_limit", "0"}, {"track_sizes", "no"},
		{"inline_ascii_response", "no"}, {"ext_item_size", "0"}, {"ext_item_age", "0"}, {"ext_low_ttl", "0"}, {"ext_recache_rate", "0"},
		{"ext_wbuf_size", "0"}, {"ext_compact_under", "0"}, {"ext_drop_under", "0"}, {"ext_max_sleep", "0"}, {"ext_max_frag", "0.00"},
		{"slab_automove_freeratio", "0.010"}, {"ext_drop_unread", "no"}, {"ssl_enabled", "no"}, {"ssl_chain_cert", "(null)"},
		{"ssl_key", "(null)"}, {"ssl_verify_mode", "0"}, {"ssl_keyformat", "1"}, {"ssl_ciphers", "NULL"}, {"ssl_ca_cert", "NULL"},
		{"ssl_wbuf_size", "16384"}, {"ssl_session_cache", "no"}, {"ssl_kernel_tls", "no"}, {"ssl_min_version", "tlsv1.2"},
		{"num_napi_ids", "(null)"}, {"memory_file", "(null)"},
	}
	out := make([]session.Pair, len(pairs))
	for i, p := range pairs {
		out[i] = session.Pair{Name: p[0], Value: p[1]}
	}
	return out
}
