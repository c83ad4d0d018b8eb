package table

import "slices"

// endOld ends the credentials that were issued up to the time of a not_before above them,
// or at an unknown time. Marks that spare the same credentials are looked at together, so
// that many of them cost little more than one.
func (c *closure) endOld(e *ends) {
	groups := map[spares][]hit{}
	for _, hit := range c.hits {
		if hit.cause.Effect == NotBefore {
			key := c.sparesOf(hit.cause)
			groups[key] = append(groups[key], hit)
		}
	}
	for _, marks := range groups {
		c.endMarked(e, marks)
	}
}

// spares are the device and tenant of a mark, as far as a credential here names them:
// all others spare the same.
type spares struct{ device, tenant string }

const nobodys = "\x00" // a device or tenant that no credential names

func (c *closure) sparesOf(cause *Cause) spares {
	return spares{
		c.namedBy("device", cause.device, c.table.devices),
		c.namedBy("tenant", cause.tenant, c.table.tenants),
	}
}

func (c *closure) namedBy(what string, wanted *string, bound map[int32][]string) string {
	if wanted == nil {
		return ""
	}
	if c.named == nil {
		c.named = map[string]string{}
	}
	key := what + "=" + *wanted
	if known, there := c.named[key]; there {
		return known
	}
	c.named[key] = nobodys
	for _, node := range c.nodes {
		if node != none && slices.Contains(bound[node], *wanted) {
			c.named[key] = key
			break
		}
	}
	return c.named[key]
}

// endMarked takes marks that spare the same credentials.
func (c *closure) endMarked(e *ends, marks []hit) {
	type dated struct {
		at     int
		issued int64
	}
	var credentials []dated
	one := marks[0].cause
	for at := range c.nodes {
		if c.flags(at)&credential == 0 || c.spared(at, one.device, c.table.devices) ||
			c.spared(at, one.tenant, c.table.tenants) {
			continue
		}
		issued := c.issueTime(at)
		if issued == UnknownTime {
			issued = longAgo
		}
		credentials = append(credentials, dated{at, issued})
	}
	// By place: the time of the oldest credential of R that requires it.
	slices.SortFunc(credentials, func(a, b dated) int { return compare(a.issued, b.issued) })
	oldest := make([]int64, len(c.nodes))
	for at := range oldest {
		oldest[at] = UnknownTime
	}
	up := c.newWalk(c.ups)
	for _, each := range credentials {
		if c.back[each.at] >= 0 {
			for _, at := range up.from(each.at) {
				oldest[at] = each.issued
			}
		}
	}
	for _, mark := range marks {
		if oldest[mark.at] <= mark.cause.Mark && oldest[mark.at] != UnknownTime {
			e.flaws = append(e.flaws, c.passing(mark))
		}
	}
	// By place: the latest mark on what it requires.
	slices.SortFunc(marks, func(a, b hit) int { return compare(b.cause.Mark, a.cause.Mark) })
	latest := make([]int64, len(c.nodes))
	reached := make([]bool, len(c.nodes))
	down := c.newWalk(c.downs)
	for _, mark := range marks {
		for _, at := range down.from(mark.at) {
			latest[at], reached[at] = mark.cause.Mark, true
		}
	}
	for _, each := range credentials {
		if reached[each.at] && each.issued <= latest[each.at] {
			e.inherited[each.at] = true
		}
	}
}

// passing is a mark as a flaw; it is shown where it stands.
func (c *closure) passing(mark hit) flaw {
	f := c.flawOf(mark, mark.at)
	f.passes = true
	return f
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
