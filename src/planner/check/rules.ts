import type { Connection, Intent } from '../../model/index.ts';

/** The connection that governs two sites: the last that names both, either way round. The checker's own reading of the intent. */
export function ruleFor(intent: Intent, one: string, other: string): Connection | undefined {
  return intent.connections.findLast(({ between: [left, right] }) => (fits(left, one) && fits(right, other)) || (fits(left, other) && fits(right, one)));
}

/** `store-*` fits every name that begins with `store-`. */
export function fits(selector: string, name: string): boolean {
  return selector.at(-1) === '*' ? name.startsWith(selector.slice(0, -1)) : selector === name;
}
