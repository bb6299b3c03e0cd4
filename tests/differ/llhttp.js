// SPDX-License-Identifier: GPL-2.0-only
// How llhttp, as Node's http module uses it, reads a batch of inputs. The same words as ours.c; judges nothing.
'use strict';
const fs = require('fs');
const { HTTPParser, methods } = require('_http_common');

const IS_RESPONSE = 1, IS_HEAD = 2;

const word = (text) => (text === '' ? '-' : Buffer.from(text, 'latin1').toString('hex'));

function fields(list) {
  const all = [];
  for (let i = 0; i < list.length; i += 2) all.push(word(list[i]) + '=' + word(list[i + 1]));
  return all.length === 0 ? '-' : all.join(',');
}

// Numbers are llhttp's; Node's list follows them only as far as SOURCE.
const methodOf = (number) => ({ 34: 'PRI', 46: 'QUERY' }[number] || methods[number] || `number ${number}`);

const valueOf = (list, name) => {
  for (let i = 0; i < list.length; i += 2) if (list[i].toLowerCase() === name) return list[i + 1];
  return undefined;
};

function readAll(data, flags) {
  const seen = [];
  let at = 0;
  // a parser ends where a connection becomes another protocol: what follows is read by a new one
  for (let more = true; more && at < data.length;) {
    const parser = new HTTPParser();
    let message, headers = [], target = '', trailers = [], inBody = false, last = false;
    parser.initialize(flags & IS_RESPONSE ? HTTPParser.RESPONSE : HTTPParser.REQUEST, {}, 1 << 20);
    parser[HTTPParser.kOnHeaders] = (some, part) => {
      if (inBody) trailers = trailers.concat(some);
      else { headers = headers.concat(some); target += part; }
    };
    parser[HTTPParser.kOnHeadersComplete] = (major, minor, some, method, part, status) => {
      if (some) headers = headers.concat(some);
      if (part) target += part;
      message = { minor, method: methodOf(method), status, body: [] };
      inBody = true;
      // 1: no body follows whatever the head says (RFC 9110 6.4.1); older ones do not know that of 1xx, 204 and 304
      return flags & IS_HEAD || (flags & IS_RESPONSE && (status < 200 || status === 204 || status === 304)) ? 1 : 0;
    };
    parser[HTTPParser.kOnBody] = (piece, start, len) => {
      message.body.push(Buffer.from(start === undefined ? piece : piece.subarray(start, start + len)));
    };
    parser[HTTPParser.kOnMessageComplete] = () => {
      const coding = valueOf(headers, 'transfer-encoding');
      const framing = coding === undefined ? 'plain' : coding.toLowerCase() === 'chunked' ? 'chunked' : 'other';
      const first = flags & IS_RESPONSE ? `=${message.status} - -`
        : `${word(message.method)} ${word(target)} ${word(valueOf(headers, 'host') || '')}`;
      if (!last)
        seen.push(`${first} ${message.minor} ${framing} ${Buffer.concat(message.body).toString('hex') || '-'} ` +
                  `${fields(headers)} ${fields(trailers)} -`);
      last = Boolean(flags & IS_RESPONSE) && message.status >= 200;
      headers = []; target = ''; trailers = []; inBody = false;
    };
    const used = parser.execute(data.subarray(at));
    if (typeof used === 'number' && at + used === data.length && !last) parser.finish();
    more = typeof used === 'number' && used > 0 && !last;
    at += more ? used : 0;
    parser.close();
  }
  return seen.join('\t');
}

const input = fs.readFileSync(0);
const lines = [];
for (let at = 0; at < input.length;) {
  const flags = input.readUInt32LE(at), len = input.readUInt32LE(at + 4);
  lines.push(readAll(input.subarray(at + 8, at + 8 + len), flags));
  at += 8 + len;
}
process.stdout.write(lines.join('\n') + '\n');
