import { Option } from 'commander';

export interface CommonOptions {
  output: string;
}

/** Options of every command that talks to a running engine. */
export interface EngineOptions extends CommonOptions {
  socket?: string;
  url?: string;
  tokenFile?: string;
}

export function outputOption(formats: readonly string[] = ['text', 'json']): Option {
  return new Option('-o, --output <format>', 'what to print').choices(formats).default('text');
}

export function engineOptions(): Option[] {
  return [
    outputOption(),
    new Option('--socket <file>', "the engine's unix socket").env('FOREMESH_SOCKET'),
    new Option('--url <url>', "the engine's address, e.g. http://127.0.0.1:7480").env('FOREMESH_URL'),
    new Option('--token-file <file>', 'file with the API token').env('FOREMESH_TOKEN_FILE'),
  ];
}
