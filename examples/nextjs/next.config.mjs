// A page on Next.js, with Holdfast behind the same origin.
/** @type {import("next").NextConfig} */
export default {
  async rewrites() {
    return [{ source: "/api/:path*", destination: `${process.env.HOLDFAST_URL}/api/:path*` }];
  },
};
