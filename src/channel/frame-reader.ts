import { createSampleDecoder, type AgentMessage, type RefusedSamples } from '../model/index.ts';
import { parseFrame, splitReadable } from './message-schema.ts';

/** Reads the frames of one connection, in order: samples that come packed depend on those before them. */
export interface FrameReader {
  /** The message of a frame's text, without the samples that have no known form, or what is wrong with it, without quoting it. */
  read(text: string): { ok: true; message: AgentMessage; refused: RefusedSamples | null } | { ok: false; what: string };
}

export function createFrameReader(): FrameReader {
  const decoder = createSampleDecoder();
  return {
    read(text) {
      const frame = parseFrame(text);
      if (!frame.ok) return frame;
      const { message } = frame;
      if (message.type !== 'packed' && message.type !== 'samples') return { ok: true, message, refused: null };
      const came = message.type === 'samples' ? message.samples : decoder.decode(message);
      if (!came) return { ok: false, what: 'packed samples that do not fit those before them' };
      const { samples, refused } = splitReadable(came);
      return { ok: true, message: { type: 'samples', sequence: message.sequence, samples }, refused };
    },
  };
}
