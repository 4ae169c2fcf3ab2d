/** Response schemas of a route for the document: its own on success, the common one for everything else. */
export function answers(schemaId: string, status = 200): Record<string, object> {
  return {
    [status]: { description: 'done', $ref: `${schemaId}#` },
    '4xx': { description: 'refused: what is wrong and how to fix it', $ref: 'Error#' },
    '5xx': { description: 'failed', $ref: 'Error#' },
  };
}
