// Patterns of folders and names as package managers write them.

/**
 * A name pattern: `*` stands for any characters but a slash, `**` for any at all. Compared in time
 * proportional to the product of both lengths; a regular expression made of it could take for ever.
 */
export function globMatcher(pattern: string): (name: string) => boolean {
  const parts = pattern.split(/(\*\*|\*)/);
  return (name) => {
    // Whether the parts so far can end at each offset of the name.
    let ends = Array.from({ length: name.length + 1 }, (_, at) => at === 0);
    for (const part of parts) {
      const next = ends.map(() => false);
      for (let at = 0; at <= name.length; at++) {
        if (part !== '*' && part !== '**') {
          if (ends[at] === true && name.startsWith(part, at)) next[at + part.length] = true;
        } else {
          const goesOn = at > 0 && next[at - 1] === true && (part === '**' || name[at - 1] !== '/');
          next[at] = ends[at] === true || goesOn;
        }
      }
      ends = next;
    }
    return ends[name.length] === true;
  };
}
