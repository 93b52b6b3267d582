import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fromHex } from "../bytes.ts";
import { ecdsaKeys as keys } from "../io/ecdsa-keys.ts";
import { checked } from "../result.ts";
import { certificateRequest, requestedKey } from "./request.ts";

const pair = keys.newPair();
const request = certificateRequest("agent", pair, keys);
const why = (bytes: Uint8Array): string => {
  const key = requestedKey(bytes, keys);
  return key.ok ? "" : key.error;
};

/** openssl req -new -subj "/C=DE/O=Some One/CN=agent" -addext subjectAltName=DNS:a.example, for a key of P-256. */
const byOpenssl = checked(
  fromHex(
    "308201123081b90201003030310b30090603550406130244453111300f060355040a0c08536f6d65204f6e65310e300c06035504030c056167656e743059301306072a8648ce3d020106082a8648ce3d030107034200040b2e583e798c81224a7b2ebca8a3933f8050160ad0b38e27548f9c0a2bb344604740fc3e0641a7ca060e8ee54952268e652c7285567976de1ec7076af967c38aa027302506092a864886f70d01090e3118301630140603551d11040d300b8209612e6578616d706c65300a06082a8648ce3d0403020348003045022020b5a243ee613708a1926b8730c22cd88cab835196f95c9459610de9f0d4a876022100d9135f6c158a314f3b65e87ed2c7a551fbdc86a94a7685728012b70378ee8857",
  ),
);
/** The same for a key of RSA. */
const ofRsa = checked(
  fromHex(
    "3081c53071020100300c310a300806035504030c0161305c300d06092a864886f70d0101010500034b003048024100d171adb5fc1049cf592530d0633fc4f8ae7f4e4a6d41eb69195bf82ae56811b0a2c571d8e26b8235276fc9d39ae8ab6ad2049d847e0d26d5a790287aafb85a850203010001a000300d06092a864886f70d01010b05000341002517bbbc557d7c7086da0461c67e394f7406114f956543185b842cce99016c9a834326181ad4173ef1966bce3d36c3b194d3bef5095b7799a320a597af77bfd2",
  ),
);

test("the key of a request is the one that it was made for, by us or by OpenSSL", () => {
  assert.deepEqual(Buffer.from(checked(requestedKey(request, keys))), Buffer.from(pair.publicKey));
  assert.ok(requestedKey(byOpenssl, keys).ok);
});

test("a request that another key has signed, or that was changed, is refused", () => {
  const thief = keys.newPair();
  const stolen = certificateRequest("agent", { ...pair, privateKey: thief.privateKey }, keys);
  assert.match(why(stolen), /not signed by the key in it/);
  const changed = Uint8Array.from(byOpenssl, (byte, i) => (i === 24 ? byte ^ 1 : byte));
  assert.match(why(changed), /not signed by the key in it/);
});

test("a key that is none of P-256, or whose point is not on the curve, is refused", () => {
  assert.match(why(ofRsa), /not one of P-256/);
  const publicKey = Uint8Array.from(pair.publicKey, (byte, i) => (i === 90 ? byte ^ 1 : byte));
  assert.match(why(certificateRequest("agent", { ...pair, publicKey }, keys)), /not signed by the key in it/);
});

test("any bytes are answered, and so is every request that was cut short or has a byte too many", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => why(bytes) !== ""));
  for (let end = 0; end < request.length; end++) assert.notEqual(why(request.subarray(0, end)), "");
  assert.notEqual(why(Uint8Array.of(...request, 0)), "");
});

test("a request with any one byte changed gives no other key", () => {
  for (let i = 0; i < request.length; i++) {
    const key = requestedKey(
      Uint8Array.from(request, (byte, at) => (at === i ? byte ^ 0x55 : byte)),
      keys,
    );
    if (key.ok) assert.deepEqual(Buffer.from(key.value), Buffer.from(pair.publicKey));
  }
});
