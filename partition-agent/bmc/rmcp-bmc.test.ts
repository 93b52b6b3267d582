import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as quiet } from "node:timers/promises";
import { Secret } from "#lib/secret.ts";
import { nodeBmcCrypto } from "../io/bmc-crypto.ts";
import { type CipherSuite, suite3, suite17 } from "./cipher-suite.ts";
import { BadPassword, BmcMisbehaved, BmcRefused, BmcUnreachable } from "./errors.ts";
import { pairing } from "./testing/pair.ts";

const pair = pairing(nodeBmcCrypto, quiet);

const rejects = (work: Promise<unknown>, kind: new (...args: never[]) => Error, text: RegExp) =>
  assert.rejects(work, (error) => {
    assert.ok(error instanceof kind, String(error));
    assert.match(error.message, text);
    return true;
  });

for (const suite of [suite3, suite17]) {
  describe(`with cipher suite ${suite.id},`, () => {
    const suites: readonly CipherSuite[] = [suite];
    const same = () => pair({ setup: { suites } });

    test("a BMC describes itself", async () => {
      const { bmc, ends } = same();
      assert.deepEqual(await ends(bmc.describe()), {
        guid: "04030201-0605-0807-090a-0b0c0d0e0f10",
        firmware: "2.17",
        manufacturerId: 674,
        manufacturer: "Dell",
        productId: 0x1234,
        ipmiVersion: "2.0",
        mac: "52:54:00:bb:00:01",
      });
    });

    test("a wrong password is told apart and tried once", async () => {
      const { bmc, ends, responder } = pair({ setup: { suites }, target: { password: new Secret("Secret") } });
      await rejects(ends(bmc.powerState()), BadPassword, /BMC bmc1:623: open session: user or password is wrong/);
      assert.equal(responder.heard, 3 + (suite === suite3 ? 1 : 0), "abilities, open session, RAKP 1");
    });

    test("a BMC that cannot prove that it knows the password gets no proof from us", async () => {
      const { bmc, ends, responder } = same();
      responder.lies.wrongCode = "rakp2";
      await rejects(ends(bmc.powerState()), BadPassword, /its proof does not fit/);
    });

    test("a session with a wrong last check value is refused", async () => {
      const { bmc, ends, responder } = same();
      responder.lies.wrongCode = "rakp4";
      await rejects(ends(bmc.powerState()), BmcRefused, /its last check value does not fit/);
    });

    test("answers with a wrong code are not believed", async () => {
      const { bmc, ends, responder } = same();
      responder.lies.wrongCode = "packet";
      await rejects(ends(bmc.powerState()), BmcUnreachable, /no answer to \d+ packets in \d+ ms/);
    });

    test("everything that is lost once is sent again, and done", async () => {
      for (let lost = 0; lost < 12; lost++) {
        const { bmc, ends, responder } = same();
        const done = ends(bmc.power("on"));
        responder.lies.lostRequests = lost % 2;
        responder.lies.lostAnswers = 1 - (lost % 2);
        await done;
        assert.ok(responder.chassis.isOn);
      }
    });

    test("a network that doubles and delays everything changes nothing", async () => {
      const { bmc, ends, responder } = same();
      responder.lies.everythingTwice = true;
      responder.lies.lateAnswers = 2;
      await ends(bmc.power("on"));
      await ends(bmc.power("cycle"));
      assert.deepEqual(responder.chassis.done, ["on", "cycle"]);
      assert.equal(await ends(bmc.powerState()), "on");
    });
  });
}

describe("power:", () => {
  test("what is so already is not ordered again", async () => {
    const { bmc, ends, responder } = pair();
    await ends(bmc.power("off"));
    await ends(bmc.power("soft"));
    await ends(bmc.power("on"));
    await ends(bmc.power("on"));
    assert.deepEqual(responder.chassis.done, ["on"]);
  });

  test("to cycle a server that is off is to switch it on", async () => {
    const { bmc, ends, responder } = pair();
    await ends(bmc.power("cycle"));
    assert.deepEqual(responder.chassis.done, ["on"]);
  });

  test("a reset of a server that is off is refused by its BMC, in words", async () => {
    const { bmc, ends } = pair();
    await rejects(ends(bmc.power("reset")), BmcRefused, /power reset: refused with 0xd5: not possible in its present/);
  });

  for (const action of ["cycle", "reset", "soft"] as const) {
    test(`${action} is carried out once though its answer is lost, and said to be perhaps done`, async () => {
      const { bmc, ends, responder } = pair();
      await ends(bmc.power("on"));
      responder.lies.lostAnswersTo.set("0/2", 100);
      await assert.rejects(ends(bmc.power(action)), (error) => {
        assert.ok(error instanceof BmcUnreachable, String(error));
        assert.ok(error.maybeDone);
        assert.match(
          error.message,
          new RegExp(`power ${action}: no answer.*may have been carried out; read the power`),
        );
        return true;
      });
      assert.deepEqual(responder.chassis.done, ["on", action]);
    });
  }

  test("on, which may be repeated, is repeated until it is answered", async () => {
    const { bmc, ends, responder } = pair();
    responder.lies.lostAnswersTo.set("0/2", 2);
    await ends(bmc.power("on"));
    assert.deepEqual(responder.chassis.done, ["on", "on", "on"]);
  });

  test("what never reached the BMC is not said to be perhaps done", async () => {
    const { bmc, ends, responder } = pair();
    responder.lies.isMute = true;
    await assert.rejects(ends(bmc.power("cycle")), { name: "BmcUnreachable", maybeDone: false });
  });
});

describe("boot device:", () => {
  test("device, persistence and EFI go out in one command and come back", async () => {
    const { bmc, ends, responder } = pair();
    await ends(bmc.setBootDevice({ device: "pxe", persistent: true, efi: true }));
    assert.deepEqual([...responder.chassis.bootFlags], [0xe0, 0x04, 0, 0, 0]);
    assert.deepEqual(await ends(bmc.bootDevice()), { device: "pxe", persistent: true, efi: true });
    await ends(bmc.setBootDevice({ device: "disk", persistent: false, efi: false }));
    assert.deepEqual([...responder.chassis.bootFlags], [0x80, 0x08, 0, 0, 0]);
    await ends(bmc.setBootDevice({ device: "bios", persistent: false, efi: true }));
    assert.deepEqual(await ends(bmc.bootDevice()), { device: "bios", persistent: false, efi: true });
  });

  test("flags that are not valid mean the firmware's own order", async () => {
    const { bmc, ends, responder } = pair();
    responder.chassis.bootFlags = Uint8Array.of(0, 0x04, 0, 0, 0);
    assert.equal((await ends(bmc.bootDevice())).device, "none");
  });

  test("a BMC without boot info acknowledge is set all the same", async () => {
    const { bmc, ends, responder } = pair();
    responder.chassis.unknown.add("boot info");
    await ends(bmc.setBootDevice({ device: "pxe", persistent: false, efi: false }));
    assert.deepEqual(responder.chassis.done, ["boot flags"]);
  });
});

describe("description:", () => {
  test("an order of GUID bytes that is configured wins over the quirk table", async () => {
    const { bmc, ends } = pair({ target: { guidOrder: "reversed" } });
    assert.equal((await ends(bmc.describe())).guid, "100f0e0d-0c0b-0a09-0807-060504030201");
  });

  test("a BMC that does not know Get System GUID is known by the GUID of its handshake", async () => {
    const { bmc, ends, responder } = pair();
    responder.chassis.unknown.add(`6/${0x37}`).add(`12/${0x02}`);
    const seen = await ends(bmc.describe());
    assert.equal(seen.guid, "04030201-0605-0807-090a-0b0c0d0e0f10");
    assert.equal(seen.mac, undefined);
  });

  test("an empty GUID is an error that says what to do", async () => {
    const { bmc, ends } = pair({ setup: { guid: new Uint8Array(16) } });
    await rejects(ends(bmc.describe()), BmcMisbehaved, /the GUID is empty; set the system UUID/);
  });
});

describe("the light", () => {
  test("shines until it is switched off", async () => {
    const { bmc, ends, responder } = pair();
    await ends(bmc.identify("on"));
    assert.equal(responder.chassis.light, "on");
    await ends(bmc.identify("off"));
    assert.equal(responder.chassis.light, "off");
  });

  test("of a BMC that knows seconds only shines as long as it can", async () => {
    const { bmc, ends, responder } = pair();
    responder.chassis.unknown.add("identify for ever");
    await ends(bmc.identify("on"));
    assert.equal(responder.chassis.light, 255);
  });
});

describe("credentials:", () => {
  test("a password of 20 bytes works, one of 21 is refused before anything is sent", async () => {
    const long = "12345678901234567890";
    const { bmc, ends } = pair({ setup: { users: { admin: long } }, target: { password: new Secret(long) } });
    assert.equal(await ends(bmc.powerState()), "off");
    assert.throws(() => pair({ target: { password: new Secret(`${long}1`) } }), {
      message: "password of BMC bmc1:623: 21 bytes exceed 20, the most that IPMI allows",
    });
  });

  test("an unknown user is a matter of credentials", async () => {
    const { bmc, ends } = pair({ target: { user: "root" } });
    await rejects(ends(bmc.powerState()), BadPassword, /user name not known/);
  });

  test("without a common cipher suite the error says which to enable", async () => {
    const { bmc, ends } = pair({ setup: { suites: [] } });
    await rejects(ends(bmc.powerState()), BmcRefused, /enable one of cipher suites 17 and 3/);
  });
});
