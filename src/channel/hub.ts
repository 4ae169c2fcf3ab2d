import { ForemeshError, sortedBy, type Cancel, type Clock, type Log } from '../base/index.ts';
import type { AgentMessage, EngineMessage, EventMessage, HelloMessage, NodeId, NodeStatus, RefusedSamples, RevocationsMessage, Sample, SamplesMessage, SignedConfig, StatusMessage } from '../model/index.ts';

/** One open way to an agent, whose name the transport has checked. Sending on a closed one does nothing. */
export interface AgentConnection {
  node: NodeId;
  send(message: EngineMessage): void;
  close(): void;
}

/** Where samples go: stored once per (node, sequence), on disk when the promise resolves; what it does not believe is left out. */
export interface SampleSink {
  append(node: NodeId, sequence: number, samples: readonly Sample[]): Promise<{ stored: boolean; refused?: RefusedSamples }>;
}

/** Knows every agent: what it should run, what it says it runs, and its samples on their way to the store. Knows no transport. */
export interface AgentHub {
  /**
   * Takes a connection, in place of an older one of the same node. Gives what to call with each of its messages, one at a time.
   * The first must be `hello`; after one that fails all others of this connection are ignored. `refused` are samples of
   * the message that the transport could not read and left out: the agent is told with the ack. @throws (by the promise) ForemeshError CHANNEL_MESSAGE_INVALID; what the store throws, unacknowledged
   */
  attach(connection: AgentConnection): (message: AgentMessage, refused?: RefusedSamples | null) => Promise<void>;
  detach(connection: AgentConnection): void;
  /** The whole mesh: newest wins; sent to those connected that do not run it, kept for the others. */
  publish(configs: ReadonlyMap<NodeId, SignedConfig>): void;
  /** What agents have to know of revoked keys, from now on: sent to all that are connected, and to each that connects. */
  setRevocations(message: RevocationsMessage | null): void;
  /** Tells a connected node to get a new certificate; false when it is not connected. */
  askToRenew(node: NodeId): boolean;
  /** All nodes that are published or were ever seen, by name. */
  nodes(): NodeStatus[];
  /** The newest status of each node that sent one. */
  tunnelStatuses(): Map<NodeId, StatusMessage>;
  /** Samples in the name of another node than the sender's, left out since the start. */
  droppedSamples(): number;
  onEvent(listener: (node: NodeId, event: EventMessage['event']) => void): Cancel;
}

export interface AgentHubDeps {
  store: SampleSink;
  clock: Clock;
  log: Log;
}

interface Agent {
  connection: AgentConnection | null;
  /** Set by the hello of the present connection. */
  hasGreeted: boolean;
  wanted: SignedConfig | null;
  /** Commit of the config last sent on the present connection. */
  sentCommit: string | null;
  lastSeenAt: number | null;
  generation: number;
  commit: string | null;
  drift: string[];
  status: StatusMessage | null;
}

export function createAgentHub(deps: AgentHubDeps): AgentHub {
  const { store, clock, log } = deps;
  const agents = new Map<NodeId, Agent>();
  let revocations: RevocationsMessage | null = null;
  let dropped = 0;
  const listeners = new Set<(node: NodeId, event: EventMessage['event']) => void>();

  function agentOf(node: NodeId): Agent {
    const known = agents.get(node);
    if (known) return known;
    const agent: Agent = { connection: null, hasGreeted: false, wanted: null, sentCommit: null, lastSeenAt: null, generation: 0, commit: null, drift: [], status: null };
    agents.set(node, agent);
    return agent;
  }

  function attach(connection: AgentConnection): (message: AgentMessage, refused?: RefusedSamples | null) => Promise<void> {
    const agent = agentOf(connection.node);
    const former = agent.connection;
    agent.connection = connection;
    agent.hasGreeted = false;
    agent.sentCommit = null;
    if (former) {
      log.info({ node: connection.node }, 'a newer connection of the agent replaces the older');
      former.close();
    }
    let last: Promise<void> = Promise.resolve();
    let isBroken = false;
    return (message, refused = null) => {
      // behind one that failed nothing counts: a later batch would be stored, and the failed one taken for known when it comes again
      const next = last.then(() => (isBroken ? undefined : receive(connection, agent, message, refused)));
      last = next.catch(() => {
        isBroken = true; // the transport gets the error
      });
      return next;
    };
  }

  async function receive(connection: AgentConnection, agent: Agent, message: AgentMessage, refused: RefusedSamples | null): Promise<void> {
    if (agent.connection !== connection) return; // replaced meanwhile: the agent sends it again on the newer one
    agent.lastSeenAt = clock.now();
    if (message.type === 'hello') return greet(connection, agent, message);
    if (!agent.hasGreeted) throw invalid('the first message must be hello');
    if (message.type === 'samples') return takeSamples(connection, message, refused);
    if (message.type === 'status') return takeStatus(connection, agent, message);
    for (const listener of listeners) listener(connection.node, message.event);
  }

  function greet(connection: AgentConnection, agent: Agent, hello: HelloMessage): void {
    if (hello.node !== connection.node) throw invalid(`hello says ${hello.node}, the certificate ${connection.node}`);
    agent.hasGreeted = true;
    agent.generation = hello.generation;
    agent.commit = hello.commit;
    log.info({ node: connection.node, version: hello.version, generation: hello.generation }, 'agent connected');
    if (revocations) connection.send(revocations);
    offer(agent);
  }

  async function takeSamples(connection: AgentConnection, { sequence, samples }: SamplesMessage, unreadable: RefusedSamples | null): Promise<void> {
    const own = samples.filter(({ node }) => node === connection.node);
    dropped += samples.length - own.length;
    if (own.length < samples.length) log.warn({ node: connection.node, dropped: samples.length - own.length }, 'samples in the name of another node dropped');
    const { stored, refused: unbelieved } = await store.append(connection.node, sequence, own);
    if (!stored) log.debug({ node: connection.node, sequence }, 'samples were known already');
    const refused = sumOf([unreadable, stored ? unbelieved : null]);
    if (refused) log.warn({ node: connection.node, sequence, ...refused }, 'samples refused; the others of the batch are stored');
    connection.send({ type: 'ack', sequence, ...(refused && { refused }) });
  }

  function takeStatus(connection: AgentConnection, agent: Agent, message: StatusMessage): void {
    if (message.status.node !== connection.node) throw invalid(`the status is of ${message.status.node}, the certificate of ${connection.node}`);
    agent.generation = message.status.generation;
    agent.commit = message.status.commit;
    agent.drift = [...message.status.drift];
    agent.status = message;
  }

  /** Sends what the agent should run, unless it says that it does or was told on this connection. */
  function offer(agent: Agent): void {
    const { connection, wanted } = agent;
    if (!connection || !wanted || !agent.hasGreeted || wanted.commit === agent.sentCommit) return;
    if (wanted.commit === agent.commit && agent.sentCommit === null) return;
    agent.sentCommit = wanted.commit;
    connection.send({ type: 'desired', config: wanted });
  }

  function publish(configs: ReadonlyMap<NodeId, SignedConfig>): void {
    for (const [node, agent] of agents) {
      if (configs.has(node)) continue;
      agent.wanted = null;
      if (!agent.connection) agents.delete(node);
    }
    for (const [node, config] of configs) {
      const agent = agentOf(node);
      agent.wanted = config;
      offer(agent);
    }
  }

  return {
    attach,
    detach(connection) {
      const agent = agents.get(connection.node);
      if (!agent || agent.connection !== connection) return;
      agent.connection = null;
      agent.hasGreeted = false;
      log.info({ node: connection.node }, 'agent disconnected');
    },
    publish,
    setRevocations(message) {
      revocations = message;
      if (message) for (const { connection, hasGreeted } of agents.values()) if (hasGreeted) connection?.send(message);
    },
    askToRenew(node) {
      const agent = agents.get(node);
      if (!agent?.connection || !agent.hasGreeted) return false;
      agent.connection.send({ type: 'renew' });
      return true;
    },
    nodes: () =>
      sortedBy([...agents], ([node]) => node).map(([node, agent]) => ({
        node,
        connected: agent.connection !== null && agent.hasGreeted,
        lastSeenAt: agent.lastSeenAt,
        generation: agent.generation,
        commit: agent.commit,
        drift: [...agent.drift],
        ike: agent.status?.status.ike ?? null,
      })),
    tunnelStatuses: () => new Map([...agents].flatMap(([node, { status }]) => (status ? [[node, status] as const] : []))),
    droppedSamples: () => dropped,
    onEvent(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function sumOf(parts: readonly (RefusedSamples | null | undefined)[]): RefusedSamples | null {
  return parts.reduce<RefusedSamples | null>((sum, part) => (part ? { samples: (sum?.samples ?? 0) + part.samples, example: sum?.example ?? part.example } : sum), null);
}

function invalid(what: string): ForemeshError {
  return new ForemeshError('CHANNEL_MESSAGE_INVALID', { what, fix: 'run the same version of agent and engine, and one agent per certificate' });
}
