/** The API's page: Swagger UI, with the key that the search page was given. */

import { isWanted, keptKey, withKey } from "./shared/kept-key.js";

const place = document.querySelector("#swagger-ui");
if (isWanted() && !keptKey()) {
  askForKey();
} else {
  window.SwaggerUIBundle({
    url: "./docs.json",
    domNode: place,
    validatorUrl: null,
    requestInterceptor: (request) => {
      request.headers = { ...withKey(), ...request.headers };
      return request;
    },
  });
}

/** Without a key there is nothing to show; the search page takes one. */
function askForKey() {
  const link = document.createElement("a");
  link.href = "./";
  link.textContent = "Unlock it";
  const text = document.createElement("p");
  text.append("This service needs an API key. ", link, ", then come back in the same tab.");
  place.append(text);
}
