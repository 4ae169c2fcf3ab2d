import { createSampleDecoder, type AgentMessage } from '../model/index.ts';
import { checkAgentMessage, parseFrame } from './message-schema.ts';

/** Reads the frames of one connection, in order: samples that come packed depend on those before them. */
export interface FrameReader {
  /** The message of a frame's text, or what is wrong with it, without quoting it. */
  read(text: string): { ok: true; message: AgentMessage } | { ok: false; what: string };
}

export function createFrameReader(): FrameReader {
  const decoder = createSampleDecoder();
  return {
    read(text) {
      const frame = parseFrame(text);
      if (!frame.ok) return frame;
      if (frame.message.type !== 'packed') return { ok: true, message: frame.message };
      const { sequence, define, groups } = frame.message;
      const samples = decoder.decode({ define, groups });
      if (!samples) return { ok: false, what: 'packed samples that do not fit those before them' };
      return checkAgentMessage({ type: 'samples', sequence, samples }); // names and bounds as of samples that come plain
    },
  };
}
