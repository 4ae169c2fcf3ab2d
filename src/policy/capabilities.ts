import { ForemeshError, runCommandText } from '../base/index.ts';

/**
 * What Rego may call. Everything here is a pure function that ends in time linear (or close to it) in its input, and
 * runs inside the WASM sandbox. Left out are: the network and the host (`http.send`, `net.lookup_ip_addr`, `opa.runtime`,
 * `providers.*`), time and chance (`time.now_ns`, `rand.intn`, `uuid.*`: the time comes in the input, so a decision can
 * be replayed), what opa-wasm gives to JavaScript's backtracking RegExp or YAML parser (`regex.split`, `yaml.*`),
 * what grows without bound (`net.cidr_expand`, `graph.reachable_paths`), and secrets (`crypto.*`, `io.jwt.*`).
 *
 * The list stands here and not in `policies/`, because a pull request that changes rules must not be able to widen
 * what rules can reach.
 */
const ALLOWED = new Set(
  `abs all and any array.concat array.flatten array.reverse array.slice assign base64.decode base64.encode base64.is_valid
  bits.and bits.lsh bits.negate bits.or bits.rsh bits.xor cast_array cast_boolean cast_null cast_object cast_set cast_string
  ceil concat contains count div endswith eq equal floor format_int glob.match graph.reachable gt gte hex.decode hex.encode
  indexof indexof_n internal.member_2 internal.member_3 internal.print internal.test_case intersection is_array is_boolean
  is_null is_number is_object is_set is_string json.filter json.is_valid json.marshal json.patch json.remove json.unmarshal
  lower lt lte max min minus mul neq net.cidr_contains net.cidr_intersects net.cidr_overlap numbers.range numbers.range_step
  object.filter object.get object.keys object.remove object.subset object.union object.union_n or plus print product
  regex.is_valid regex.match rego.metadata.chain rego.metadata.rule rem replace round set_diff sort split sprintf startswith
  strings.any_prefix_match strings.any_suffix_match strings.count strings.replace_n strings.reverse substring sum to_number
  trim trim_left trim_prefix trim_right trim_space trim_suffix type_name union upper walk`.split(/\s+/),
);

interface Capabilities {
  builtins: { name: string }[];
  allow_net?: string[];
}

/** The capabilities file for `opa check`, `build` and `test`: this OPA's own, less what is not allowed. */
export async function reducedCapabilities(opaProgram: string): Promise<string> {
  const text = await runCommandText(opaProgram, ['capabilities', '--current'], { env: {} });
  const all = JSON.parse(text) as Partial<Capabilities>;
  if (!Array.isArray(all.builtins)) {
    throw new ForemeshError('TOOL_MISSING', { what: `${opaProgram} does not list its capabilities`, fix: 'install OPA 1.x' });
  }
  return JSON.stringify({ ...all, builtins: all.builtins.filter(({ name }) => ALLOWED.has(name)), allow_net: [] });
}
