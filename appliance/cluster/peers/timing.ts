/** The boxes' clockwork, from one profile: a slow test machine must not fence healthy boxes. All in ms. */
export type Timing = {
  /** Between two heartbeats, and two looks at the others'. */
  beat: number;
  /** Proven silence after which a box is taken for dead, if its disks are silent too. */
  dead: number;
  /** A leader that cannot renew acts no more after `resign`; another takes over after `takeover`. */
  resign: number;
  takeover: number;
};

const box: Timing = { beat: 1_000, dead: 5_000, resign: 3_000, takeover: 5_000 };
const stretched = (by: number): Timing => ({
  beat: box.beat,
  dead: box.dead * by,
  resign: box.resign * by,
  takeover: box.takeover * by,
});

export const timings = { box, lab: stretched(4) } as const;
