package stats

import (
	"os"
	"strconv"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
)

// General are the lines of `stats`.
func General(env *session.Env, emit Emit) {
	var given []session.Pair
	if env.General != nil {
		given = env.General()
	}
	merge(general(env), given, emit)
}

// Reset sets the counts to zero.
func Reset(env *session.Env) {
	env.Store.ResetStats()
	env.Prefixes.Reset()
	if env.Reset != nil {
		env.Reset()
	}
}

// merge emits own, with the values of given where it has the name, and then what is left of given.
func merge(own, given []session.Pair, emit Emit) {
	values := make(map[string]string, len(given))
	for _, p := range given {
		values[p.Name] = p.Value
	}
	for _, p := range own {
		if v, ok := values[p.Name]; ok {
			p.Value = v
			delete(values, p.Name)
		}
		emit(p.Name, p.Value)
	}
	for _, p := range given {
		if _, left := values[p.Name]; left {
			emit(p.Name, p.Value)
		}
	}
}

func signed(n int64) string    { return strconv.FormatInt(n, 10) }
func unsigned(n uint64) string { return strconv.FormatUint(n, 10) }

// general are memcached's lines in its order.
func general(env *session.Env) []session.Pair {
	now, st := env.Clock.Now(), env.Store.Stats()
	pairs := []session.Pair{
		{Name: "pid", Value: signed(int64(os.Getpid()))},
		{Name: "uptime", Value: signed(max(now-env.Started, 0))},
		{Name: "time", Value: signed(now)},
		{Name: "version", Value: Version},
		{Name: "libevent", Value: "none"},
		{Name: "pointer_size", Value: signed(strconv.IntSize)},
		{Name: "rusage_user", Value: "0.000000"},
		{Name: "rusage_system", Value: "0.000000"},
	}
	pairs = zeros(pairs, "max_connections", "curr_connections", "total_connections", "rejected_connections", "connection_structures",
		"response_obj_oom", "response_obj_count", "response_obj_bytes", "read_buf_count", "read_buf_bytes", "read_buf_bytes_free",
		"read_buf_oom", "reserved_fds")
	pairs = append(pairs, commands(&st)...)
	pairs = zeros(pairs, "auth_cmds", "auth_errors", "bytes_read", "bytes_written")
	pairs = append(pairs, session.Pair{Name: "limit_maxbytes", Value: signed(st.Limit)},
		session.Pair{Name: "accepting_conns", Value: "1"})
	pairs = zeros(pairs, "listen_disabled_num", "time_in_listen_disabled_us", "threads", "conn_yields")
	pairs = append(pairs, session.Pair{Name: "hash_power_level", Value: signed(st.HashPower)},
		session.Pair{Name: "hash_bytes", Value: signed(st.HashBytes)})
	pairs = zeros(pairs, "hash_is_expanding", "slab_reassign_rescues", "slab_reassign_chunk_rescues", "slab_reassign_evictions_nomem",
		"slab_reassign_inline_reclaim", "slab_reassign_busy_items", "slab_reassign_busy_deletes", "slab_reassign_running",
		"slabs_moved", "lru_crawler_running", "lru_crawler_starts", "lru_maintainer_juggles", "malloc_fails", "log_worker_dropped",
		"log_worker_written", "log_watcher_skipped", "log_watcher_sent", "log_watchers", "unexpected_napi_ids", "round_robin_fallback")
	return append(pairs, items(&st)...)
}

// zeros appends names with the value 0.
func zeros(pairs []session.Pair, names ...string) []session.Pair {
	for _, n := range names {
		pairs = append(pairs, session.Pair{Name: n, Value: "0"})
	}
	return pairs
}

// commands are the counts of commands.
func commands(st *engine.Stats) []session.Pair {
	count := func(name string, c engine.Counter) session.Pair {
		return session.Pair{Name: name, Value: unsigned(st.Counts[c])}
	}
	return []session.Pair{
		count("cmd_get", engine.CmdGet), count("cmd_set", engine.CmdSet),
		{Name: "cmd_flush", Value: "0"},
		count("cmd_touch", engine.CmdTouch), count("cmd_meta", engine.CmdMeta),
		count("get_hits", engine.GetHits), count("get_misses", engine.GetMisses),
		count("get_expired", engine.GetExpired), count("get_flushed", engine.GetFlushed),
		count("delete_misses", engine.DeleteMisses), count("delete_hits", engine.DeleteHits),
		count("incr_misses", engine.IncrMisses), count("incr_hits", engine.IncrHits),
		count("decr_misses", engine.DecrMisses), count("decr_hits", engine.DecrHits),
		count("cas_misses", engine.CasMisses), count("cas_hits", engine.CasHits), count("cas_badval", engine.CasBadval),
		count("touch_hits", engine.TouchHits), count("touch_misses", engine.TouchMisses),
		count("store_too_large", engine.StoreTooLarge), count("store_no_memory", engine.StoreNoMemory),
	}
}

// items are the lines about what is stored.
func items(st *engine.Stats) []session.Pair {
	return []session.Pair{
		{Name: "bytes", Value: signed(st.Bytes)},
		{Name: "curr_items", Value: signed(st.Items)},
		{Name: "total_items", Value: unsigned(st.Total)},
		{Name: "slab_global_page_pool", Value: "0"},
		{Name: "expired_unfetched", Value: unsigned(st.ExpiredUnfetched)},
		{Name: "evicted_unfetched", Value: unsigned(st.EvictedUnfetched)},
		{Name: "evicted_active", Value: unsigned(st.EvictedActive)},
		{Name: "evictions", Value: unsigned(st.Evictions)},
		{Name: "reclaimed", Value: unsigned(st.Reclaimed)},
		{Name: "crawler_reclaimed", Value: "0"},
		{Name: "crawler_items_checked", Value: unsigned(st.SweeperChecked)},
		{Name: "lrutail_reflocked", Value: "0"},
		{Name: "moves_to_cold", Value: "0"},
		{Name: "moves_to_warm", Value: "0"},
		{Name: "moves_within_lru", Value: "0"},
		{Name: "direct_reclaims", Value: unsigned(st.DirectReclaims)},
		{Name: "lru_bumps_dropped", Value: "0"},
	}
}
