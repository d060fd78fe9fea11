/** Lays out the overview beside the page, so that it can be used meanwhile. */

import { boxed, type Question } from "./layout.ts";

self.onmessage = ({ data }: MessageEvent<Question>) => {
  const answer = boxed(data);
  self.postMessage(answer, { transfer: [answer.x.buffer, answer.y.buffer] });
};
