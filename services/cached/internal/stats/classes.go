package stats

import (
	"strconv"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
)

// Items are the lines of `stats items`: of each class that has items.
func Items(env *session.Env, emit Emit) {
	for class, c := range env.Store.ByClass() {
		if c.Items == 0 {
			continue
		}
		prefix := "items:" + strconv.Itoa(class) + ":"
		for _, p := range itemLines(&c) {
			emit(prefix+p.Name, p.Value)
		}
	}
}

// itemLines gives all items to memcached's cold queue, the one that is evicted from.
func itemLines(c *engine.ClassStats) []session.Pair {
	pairs := []session.Pair{{Name: "number", Value: signed(c.Items)}}
	pairs = zeros(pairs, "number_hot", "number_warm")
	pairs = append(pairs, session.Pair{Name: "number_cold", Value: signed(c.Items)})
	pairs = zeros(pairs, "age_hot", "age_warm")
	pairs = append(pairs,
		session.Pair{Name: "age", Value: signed(c.OldestAge)},
		session.Pair{Name: "mem_requested", Value: signed(c.Bytes)},
		session.Pair{Name: "evicted", Value: unsigned(c.Evicted)},
		session.Pair{Name: "evicted_nonzero", Value: unsigned(c.EvictedNonZero)},
		session.Pair{Name: "evicted_time", Value: unsigned(c.EvictedTime)},
		session.Pair{Name: "outofmemory", Value: unsigned(c.OOM)},
		session.Pair{Name: "tailrepairs", Value: "0"},
		session.Pair{Name: "reclaimed", Value: unsigned(c.Expired)},
		session.Pair{Name: "expired_unfetched", Value: unsigned(c.ExpiredUnfetched)},
		session.Pair{Name: "evicted_unfetched", Value: unsigned(c.EvictedUnfetched)})
	pairs = zeros(pairs, "evicted_active", "crawler_reclaimed", "crawler_items_checked", "lrutail_reflocked", "moves_to_cold",
		"moves_to_warm", "moves_within_lru", "direct_reclaims", "hits_to_hot", "hits_to_warm")
	pairs = append(pairs, session.Pair{Name: "hits_to_cold", Value: unsigned(c.GetHits)})
	return zeros(pairs, "hits_to_temp")
}

// pageSize is memcached's slab page, bytes.
const pageSize = 1 << 20

// Slabs are the lines of `stats slabs`: of each class that has or had items, with the pages that memcached would need for them.
func Slabs(env *session.Env, emit Emit) {
	active, pages := int64(0), int64(0)
	for class, c := range env.Store.ByClass() {
		if c.Items == 0 && c.CmdSet == 0 {
			continue
		}
		active++
		prefix := strconv.Itoa(class) + ":"
		perPage := int64(pageSize / c.ChunkSize)
		need := (c.Items + perPage - 1) / perPage
		pages += need
		for _, p := range []session.Pair{
			{Name: "chunk_size", Value: signed(int64(c.ChunkSize))},
			{Name: "chunks_per_page", Value: signed(perPage)},
			{Name: "total_pages", Value: signed(need)},
			{Name: "total_chunks", Value: signed(need * perPage)},
			{Name: "used_chunks", Value: signed(c.Items)},
			{Name: "free_chunks", Value: signed(need*perPage - c.Items)},
			{Name: "free_chunks_end", Value: "0"},
			{Name: "get_hits", Value: unsigned(c.GetHits)},
			{Name: "cmd_set", Value: unsigned(c.CmdSet)},
			{Name: "delete_hits", Value: unsigned(c.DeleteHits)},
			{Name: "incr_hits", Value: unsigned(c.IncrHits)},
			{Name: "decr_hits", Value: unsigned(c.DecrHits)},
			{Name: "cas_hits", Value: unsigned(c.CasHits)},
			{Name: "cas_badval", Value: unsigned(c.CasBadval)},
			{Name: "touch_hits", Value: unsigned(c.TouchHits)},
		} {
			emit(prefix+p.Name, p.Value)
		}
	}
	emit("active_slabs", signed(active))
	emit("total_malloced", signed(pages*pageSize))
}
