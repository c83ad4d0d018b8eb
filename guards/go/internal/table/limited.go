package table

import (
	"slices"
	"strings"
)

// isOf says whether a place is of one of some kinds. What is presented together is of
// those of the presented credentials.
func (c *closure) isOf(at int, kinds []string) bool {
	if at != together {
		return c.nodes[at] != none && slices.Contains(kinds, c.table.names.kind(c.nodes[at]))
	}
	return slices.ContainsFunc(c.presentedCredentials(), func(one int) bool {
		return slices.Contains(kinds, c.identifier(one).Kind)
	})
}

// nearestOf gives by place the nearest place of R that requires it and is of one of some
// kinds, -1 where there is none.
func (c *closure) nearestOf(kinds []string) []int {
	key := strings.Join(kinds, "\x00")
	if known, there := c.limits[key]; there {
		return known
	}
	nearest := make([]int, len(c.nodes))
	for at := range nearest {
		nearest[at] = -1
	}
	up := c.newWalk(c.ups)
	for _, at := range c.order {
		if c.isOf(at, kinds) {
			for _, above := range up.from(at) {
				nearest[above] = at
			}
		}
	}
	if c.limits == nil {
		c.limits = map[string][]int{}
	}
	c.limits[key] = nearest
	return nearest
}

// acts says whether a cause that stands in R acts on what is presented.
func (c *closure) acts(h hit) bool {
	return len(h.cause.kinds) == 0 || c.nearestOf(h.cause.kinds)[h.at] >= 0
}

// endLimited ends what requires the target of a cause and is of one of its kinds. Causes of
// the same kinds are looked at together.
func (c *closure) endLimited(e *ends, limited []hit) {
	groups := map[string][]hit{}
	for _, hit := range limited {
		key := strings.Join(hit.cause.kinds, "\x00")
		groups[key] = append(groups[key], hit)
	}
	for _, hits := range groups {
		kinds := hits[0].cause.kinds
		nearest, down := c.nearestOf(kinds), c.newWalk(c.downs)
		for _, hit := range hits {
			for _, at := range down.from(hit.at) {
				e.inherited[at] = e.inherited[at] || c.isOf(at, kinds)
			}
			if at := nearest[hit.at]; at >= 0 {
				e.pass(c.flawOf(hit, at))
			}
		}
	}
}
