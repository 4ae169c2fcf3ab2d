import type { Agent } from '../../../agent/index.ts';
import type { AgentConnection, AgentHub } from '../../channel/index.ts';
import type { AgentMessage, EngineMessage, NodeId } from '../../model/index.ts';

/**
 * The channel without a network: messages wait here until `deliver`, which hands them on one by one and waits for each,
 * so that virtual time stands still while an engine or an agent works on a message.
 */
export class SimChannel {
  readonly #node: NodeId;
  #hub: AgentHub | null = null;
  #agent: Agent | null = null;
  #connection: AgentConnection | null = null;
  #handle: ((message: AgentMessage) => Promise<void>) | null = null;
  #toEngine: AgentMessage[] = [];
  #toAgent: EngineMessage[] = [];

  constructor(node: NodeId) {
    this.#node = node;
  }

  /** Says hello for the agent, as the real client does when its socket opens. */
  connect(hub: AgentHub, agent: Agent, version: string): void {
    this.disconnect();
    const connection: AgentConnection = {
      node: this.#node,
      send: (message) => {
        if (this.#connection === connection) this.#toAgent.push(message);
      },
      close: () => {
        if (this.#connection === connection) this.disconnect();
      },
    };
    this.#hub = hub;
    this.#agent = agent;
    this.#connection = connection;
    this.#handle = hub.attach(connection);
    const { generation, commit } = agent.runtime();
    this.#toEngine.push({ type: 'hello', node: this.#node, version, generation, commit });
    agent.connected();
  }

  disconnect(): void {
    const connection = this.#connection;
    this.#connection = null;
    this.#handle = null;
    this.#toEngine = [];
    this.#toAgent = [];
    if (connection) this.#hub?.detach(connection);
    this.#agent?.disconnected();
    this.#agent = null;
  }

  get isConnected(): boolean {
    return this.#connection !== null;
  }

  /** From the agent. */
  send(message: AgentMessage): void {
    if (this.#connection) this.#toEngine.push(message);
  }

  /** Hands on what waits, answers included. True when there was anything. */
  async deliver(): Promise<boolean> {
    let any = false;
    while (this.#toEngine.length > 0 || this.#toAgent.length > 0) {
      any = true;
      const up = this.#toEngine.shift();
      if (up) await this.#handle?.(up);
      const down = this.#toAgent.shift();
      if (down) await this.#agent?.receive(down);
    }
    return any;
  }
}
