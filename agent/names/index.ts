// In: answers of name servers to hosts of the site. Out: addresses that the kernel puts into classes that are told by name.
// The rules that bring answers here are the dataplane's (answers.ts); without an agent they end by themselves.
// Start reading at learner.ts; answer.ts reads the messages (pure); sockets and sets are behind NamePort.
// Nothing here may hold an answer up for long, or change it.
// Others import from this file only.
export * from './answer.ts';
export * from './learner.ts';
