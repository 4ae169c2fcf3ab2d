/** A gateway's load as counters; two of them make a window. Times in ms since some start, sizes in bytes. */
export interface HostReading {
  /** Of all cores together. */
  cpuBusyMs: number;
  cpuTotalMs: number;
  /** Running and waiting tasks, mean of a minute. */
  load: number;
  memoryUsedBytes: number;
  memoryTotalBytes: number;
  agent: ProcessReading;
  /** The IKE daemon of this network namespace; null when none is seen. */
  daemon: ProcessReading | null;
  /** Entries of the kernel's connection table; null when not asked for or when there is none. */
  connections: number | null;
}

export interface ProcessReading {
  pid: number;
  cpuMs: number;
  rssBytes: number;
}

export interface HostPort {
  /** @param withConnections  also counts connections, which the mesh must permit. Never rejects for want of a figure. */
  read(withConnections: boolean): Promise<HostReading>;
}
