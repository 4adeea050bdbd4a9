/** Asks the Prometheus API; draw.mjs carries the request on, so that the page needs no address and no CORS. */
export async function prometheus(path: string, parameters: Record<string, string | number>): Promise<any> {
  const search = new URLSearchParams(Object.entries(parameters).map(([name, value]) => [name, String(value)]));
  const response = await fetch(`/prometheus/api/v1/${path}?${search}`);
  const answer = await response.json().catch(() => ({ error: `Prometheus answered with HTTP status ${response.status}` }));
  if (answer.status !== 'success') throw new Error(answer.error);
  return answer.data;
}
