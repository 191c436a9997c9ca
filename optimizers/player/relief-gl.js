// The relief on the graphics card: the surface once per turn, the paths at every frame. Knows no race and no page.

import { RECORD } from "./relief-math.js";

const SAMPLES = 4; // per pixel of the surface
const CORNERS = 4; // of the strip a piece of a path is drawn as
export const DASHES = 6; // lengths a dash pattern may have

const GROUND = [
  `#version 300 es
  uniform mat4 eye;
  uniform vec2 plan; // its sides
  uniform vec3 light;
  layout(location = 0) in vec3 point;
  layout(location = 1) in vec3 normal;
  out vec2 place;
  out float bright;
  void main() {
    gl_Position = eye * vec4(point, 1);
    place = point.xy / plan + 0.5;
    bright = dot(normal, light);
  }`,
  `#version 300 es
  precision highp float;
  uniform sampler2D map;
  uniform vec4 tone; // instead of the map, as far as its alpha says
  uniform vec2 shade; // brightness of what lies in the shade, and in full light
  in vec2 place;
  in float bright;
  out vec4 color;
  void main() {
    vec3 paper = tone.a < 1.0 ? mix(texture(map, place).rgb, tone.rgb, tone.a) : tone.rgb;
    color = vec4(min(vec3(1), paper * mix(shade.x, shade.y, smoothstep(-0.1, 0.95, bright))), 1);
  }`,
];

// A piece of a path is a strip around its segment on the screen, round at both ends. Every fragment knows how far it is from
// the line, and the nearest wins by its depth: pieces overlap without a seam, and translucent ones without a knot.
const INK = [
  `#version 300 es
  uniform mat4 eye;
  uniform vec2 frame; // px
  uniform vec2 span; // steps drawn, from and to …
  uniform vec3 tips[2]; // … and the points where the line is then
  uniform vec2 reach; // half the width of the ink and of the halo, px
  uniform float scale; // px per unit of the world, in the middle
  layout(location = 0) in vec4 here; // x, y, z, length so far
  layout(location = 1) in vec2 hereAt; // step, and whether the line goes on
  layout(location = 2) in vec4 there;
  layout(location = 3) in vec2 thereAt;
  out vec2 way; // px along the segment and beside it
  flat out vec4 ends; // the segment on the screen, px
  flat out vec2 depths;
  flat out vec3 run; // its length in px, and the path's length at both ends, px
  void main() {
    vec4 a = hereAt.x < span.x ? vec4(tips[0], here.w + distance(here.xyz, tips[0])) : here;
    vec4 b = thereAt.x > span.y ? vec4(tips[1], here.w + distance(here.xyz, tips[1])) : there;
    vec4 ca = eye * vec4(a.xyz, 1);
    vec4 cb = eye * vec4(b.xyz, 1);
    vec3 na = ca.xyz / ca.w;
    vec3 nb = cb.xyz / cb.w;
    ends = vec4(na.xy * 0.5 + 0.5, nb.xy * 0.5 + 0.5) * frame.xyxy;
    depths = vec2(na.z, nb.z) * 0.5 + 0.5;
    vec2 along = ends.zw - ends.xy;
    float size = length(along);
    vec2 unit = size > 1e-3 ? along / size : vec2(1, 0);
    run = vec3(size, a.w * scale, b.w * scale);
    int corner = gl_VertexID & 3;
    float rim = reach.y + 0.55; // as far as a pixel's middle can be and still be touched
    way = vec2((corner & 1) == 0 ? -rim : size + rim, (corner & 2) == 0 ? -rim : rim);
    vec2 spot = ends.xy + unit * way.x + vec2(-unit.y, unit.x) * way.y;
    gl_Position = vec4(spot / frame * 2.0 - 1.0, 0, 1);
    if (hereAt.y < 0.5 || hereAt.x >= span.y || thereAt.x <= span.x) gl_Position = vec4(2, 2, 2, 1);
  }`,
  `#version 300 es
  precision highp float;
  uniform sampler2D ground;
  uniform highp sampler2D deep;
  uniform vec3 ink;
  uniform vec4 halo;
  uniform vec2 reach;
  uniform float dash[${DASHES}]; // on, off, … in px
  uniform int dashes;
  uniform float period;
  uniform float round; // 1: every dash ends round
  uniform vec2 faint; // opacity where the surface hides the line, and where it does not
  uniform float hair; // by how much the line lies above the surface, in depth
  uniform vec2 layer; // this path's place from the front, of how many
  in vec2 way;
  flat in vec4 ends;
  flat in vec2 depths;
  flat in vec3 run;
  out vec4 color;
  void main() {
    float share = run.x > 1e-3 ? clamp(way.x / run.x, 0.0, 1.0) : 0.0;
    float away = length(vec2(way.x - share * run.x, way.y));
    float gap = -1e6; // px to the nearest dash, negative inside it
    if (dashes > 0) {
      float at = mod(mix(run.y, run.z, share), period);
      float start = 0.0;
      gap = 1e6;
      for (int k = 0; k < ${DASHES}; k += 2) {
        if (k >= dashes) break;
        float end = start + dash[k];
        gap = min(gap, min(max(start - at, at - end), start + period - at));
        start = end + dash[k + 1];
      }
    }
    float beside = round > 0.5 ? length(vec2(max(gap, 0.0), away)) - reach.x : max(gap, away - reach.x);
    float inked = clamp(0.5 - beside, 0.0, 1.0);
    ivec2 middle = ivec2(mix(ends.xy, ends.zw, share));
    bool hidden = mix(depths.x, depths.y, share) - hair > texelFetch(deep, middle, 0).r;
    float haloed = hidden ? 0.0 : clamp(reach.y + 0.5 - away, 0.0, 1.0) * halo.a;
    float opacity = inked * (hidden ? faint.x : faint.y);
    if (max(opacity, haloed) < 0.02) discard;
    color = vec4(ink, 1);
    if (opacity < 1.0) {
      vec3 paper = mix(texelFetch(ground, ivec2(gl_FragCoord.xy), 0).rgb, halo.rgb, haloed);
      color.rgb = mix(paper, ink, opacity);
    }
    float rank = inked > 0.0 ? 0.5 - 0.5 * inked : 0.5 + 0.49 * min(1.0, away / (reach.y + 1.0));
    gl_FragDepth = ((hidden ? layer.y : 0.0) + layer.x + rank) / (2.0 * layer.y);
  }`,
];

function build(gl, [vertex, fragment]) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
    const logs = gl.getAttachedShaders(program).map((shader) => gl.getShaderInfoLog(shader));
    throw new Error(`The relief's shaders do not fit together: ${[...logs, gl.getProgramInfoLog(program)].join(" ")}`);
  }
  const uniforms = {};
  for (let k = 0; k < gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS); k++) {
    const name = gl.getActiveUniform(program, k).name.replace("[0]", "");
    uniforms[name] = gl.getUniformLocation(program, name);
  }
  return { program, uniforms };
}

/**
 * What draws on a canvas by WebGL 2, or null where that is missing:
 *   software                    the processor draws, where there is no graphics card
 *   solid(mesh, plan sides)     the surface, from relief-math.js's solidOf()
 *   map(canvas)                 what is printed on it
 *   paths(records)              every path's records
 *   ground(eye, look, fine)     draws the surface as `eye` sees it; look {paper, wall, line: [r, g, b] of 0 … 1, light, shade};
 *                               fine: all its triangles and smooth edges, which takes longer
 *   begin(eye, look, anew)      one frame: the surface as it was or, where not anew, the lines drawn before as well …
 *   line(path)                  … and a line on it
 *   flush()                     begins to draw all that
 */
export function createCanvas(canvas) {
  const gl = canvas.getContext("webgl2", { alpha: false, antialias: false, depth: true, preserveDrawingBuffer: true });
  if (!gl) return null;
  const ground = build(gl, GROUND);
  const ink = build(gl, INK);
  const anisotropic = gl.getExtension("EXT_texture_filter_anisotropic");

  const texture = (unit, settings) => {
    const made = gl.createTexture();
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, made);
    for (const [name, value] of settings) gl.texParameteri(gl.TEXTURE_2D, name, value);
    return made;
  };
  const clamped = [[gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE], [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE]];
  const exact = [...clamped, [gl.TEXTURE_MIN_FILTER, gl.NEAREST], [gl.TEXTURE_MAG_FILTER, gl.NEAREST]];
  texture(0, [...clamped, [gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR]]);

  // The surface is drawn with several samples a pixel and kept, colour and depth, until the eye moves.
  const sampled = { frame: gl.createFramebuffer(), color: gl.createRenderbuffer(), depth: gl.createRenderbuffer() };
  const kept = { frame: gl.createFramebuffer(), color: null, depth: null };
  let [width, height] = [0, 0];
  let smooth = true;

  function resize(fine) {
    smooth = fine;
    [width, height] = [canvas.width, canvas.height];
    gl.activeTexture(gl.TEXTURE0);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, fine ? gl.LINEAR_MIPMAP_LINEAR : gl.LINEAR_MIPMAP_NEAREST);
    if (anisotropic) gl.texParameteri(gl.TEXTURE_2D, anisotropic.TEXTURE_MAX_ANISOTROPY_EXT, fine ? 4 : 1);
    gl.deleteTexture(kept.color);
    gl.deleteTexture(kept.depth);
    kept.color = texture(1, exact);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA8, width, height);
    kept.depth = texture(2, exact);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.DEPTH_COMPONENT24, width, height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, kept.frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, kept.color, 0);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.TEXTURE_2D, kept.depth, 0);
    if (!fine) return;
    gl.bindFramebuffer(gl.FRAMEBUFFER, sampled.frame);
    for (const [buffer, format, place] of [
      [sampled.color, gl.RGBA8, gl.COLOR_ATTACHMENT0],
      [sampled.depth, gl.DEPTH_COMPONENT24, gl.DEPTH_ATTACHMENT],
    ]) {
      gl.bindRenderbuffer(gl.RENDERBUFFER, buffer);
      gl.renderbufferStorageMultisample(gl.RENDERBUFFER, SAMPLES, format, width, height);
      gl.framebufferRenderbuffer(gl.FRAMEBUFFER, place, gl.RENDERBUFFER, buffer);
    }
  }

  const solid = { points: gl.createBuffer(), order: gl.createBuffer(), array: gl.createVertexArray(), fine: [], rough: [], plan: [1, 1] };
  gl.bindVertexArray(solid.array);
  gl.bindBuffer(gl.ARRAY_BUFFER, solid.points);
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, solid.order);
  for (const place of [0, 1]) {
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, 3, gl.FLOAT, false, 24, 12 * place);
  }

  // Each record stands four times, once per corner; a corner reads its own record and, four further on, the next.
  const lines = { points: gl.createBuffer(), order: gl.createBuffer(), array: gl.createVertexArray(), room: 0, corners: new Float32Array(0) };
  gl.bindVertexArray(lines.array);
  gl.bindBuffer(gl.ARRAY_BUFFER, lines.points);
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, lines.order);
  const stride = 4 * RECORD;
  for (const [place, size, from] of [[0, 4, 0], [1, 2, 16], [2, 4, CORNERS * stride], [3, 2, CORNERS * stride + 16]]) {
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, size, gl.FLOAT, false, stride, from);
  }

  const named = gl.getExtension("WEBGL_debug_renderer_info");
  const name = String(gl.getParameter(named ? named.UNMASKED_RENDERER_WEBGL : gl.RENDERER));

  return {
    software: /swiftshader|llvmpipe|software|basic render/i.test(name),
    solid({ points, fine, rough }, plan) {
      gl.bindVertexArray(solid.array);
      gl.bindBuffer(gl.ARRAY_BUFFER, solid.points);
      gl.bufferData(gl.ARRAY_BUFFER, points, gl.STATIC_DRAW);
      solid.plan = plan;
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, [...fine, ...rough].reduce((sum, part) => sum + part.byteLength, 0), gl.STATIC_DRAW);
      let at = 0;
      const put = (part) => {
        gl.bufferSubData(gl.ELEMENT_ARRAY_BUFFER, at, part);
        at += part.byteLength;
        return { count: part.length, at: at - part.byteLength };
      };
      Object.assign(solid, { fine: fine.map(put), rough: rough.map(put) });
    },
    map(picture) {
      gl.activeTexture(gl.TEXTURE0);
      gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, true);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, picture);
      gl.generateMipmap(gl.TEXTURE_2D);
    },
    paths({ data, count }) {
      const size = CORNERS * RECORD;
      if (lines.corners.length < size * (count + 1)) lines.corners = new Float32Array(2 * size * (count + 1));
      for (let k = 0; k < count; k++) {
        for (let corner = 0; corner < CORNERS; corner++) {
          for (let n = 0; n < RECORD; n++) lines.corners[size * k + RECORD * corner + n] = data[RECORD * k + n];
        }
      }
      gl.bindVertexArray(lines.array);
      gl.bindBuffer(gl.ARRAY_BUFFER, lines.points);
      gl.bufferData(gl.ARRAY_BUFFER, lines.corners.subarray(0, size * (count + 1)), gl.DYNAMIC_DRAW);
      if (lines.room >= count) return;
      lines.room = 2 * count;
      const order = new Uint32Array(6 * lines.room);
      for (let k = 0; k < lines.room; k++) order.set([4 * k, 4 * k + 1, 4 * k + 2, 4 * k + 2, 4 * k + 1, 4 * k + 3], 6 * k);
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, order, gl.STATIC_DRAW);
    },
    ground(eye, { paper, wall, line, light, shade }, fine) {
      if (width !== canvas.width || height !== canvas.height || smooth !== fine) resize(fine);
      gl.bindFramebuffer(gl.FRAMEBUFFER, fine ? sampled.frame : kept.frame);
      gl.viewport(0, 0, width, height);
      gl.enable(gl.DEPTH_TEST);
      gl.depthFunc(gl.LEQUAL);
      gl.clearColor(...paper, 1);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      const { program, uniforms } = ground;
      const [triangles, walls, rim] = fine ? solid.fine : solid.rough;
      const draw = (kind, { count, at }) => gl.drawElements(kind, count, gl.UNSIGNED_INT, at);
      gl.useProgram(program);
      gl.bindVertexArray(solid.array);
      gl.uniformMatrix4fv(uniforms.eye, false, eye.matrix);
      gl.uniform2f(uniforms.plan, ...solid.plan);
      gl.uniform3f(uniforms.light, ...light);
      gl.uniform1i(uniforms.map, 0);
      gl.uniform2f(uniforms.shade, ...shade);
      gl.uniform4f(uniforms.tone, 0, 0, 0, 0);
      gl.enable(gl.POLYGON_OFFSET_FILL); // so that the rim lies before its own faces
      gl.polygonOffset(1, 1);
      draw(gl.TRIANGLES, triangles);
      gl.uniform4f(uniforms.tone, ...wall, 1);
      draw(gl.TRIANGLES, walls);
      gl.disable(gl.POLYGON_OFFSET_FILL);
      gl.uniform4f(uniforms.tone, ...line, 1);
      gl.uniform2f(uniforms.shade, 1, 1);
      draw(gl.LINES, rim);
      if (!fine) return;
      gl.bindFramebuffer(gl.READ_FRAMEBUFFER, sampled.frame);
      gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, kept.frame);
      gl.blitFramebuffer(0, 0, width, height, 0, 0, width, height, gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT, gl.NEAREST);
    },
    begin(eye, { hair, halo, ratio }, anew) {
      gl.bindFramebuffer(gl.READ_FRAMEBUFFER, kept.frame);
      gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, null);
      gl.viewport(0, 0, width, height);
      if (anew) {
        gl.clear(gl.DEPTH_BUFFER_BIT);
        gl.blitFramebuffer(0, 0, width, height, 0, 0, width, height, gl.COLOR_BUFFER_BIT, gl.NEAREST);
      }
      const { program, uniforms } = ink;
      gl.useProgram(program);
      gl.bindVertexArray(lines.array);
      gl.uniformMatrix4fv(uniforms.eye, false, eye.matrix);
      gl.uniform2f(uniforms.frame, width, height);
      gl.uniform1f(uniforms.scale, eye.scale * ratio);
      gl.uniform1i(uniforms.ground, 1);
      gl.uniform1i(uniforms.deep, 2);
      gl.uniform1f(uniforms.hair, hair);
      gl.uniform4f(uniforms.halo, ...halo);
    },
    /** One line: the pieces that begin at records start … end, of the steps span [from, to]. Lengths in device px. */
    line({ start, end, from, to, tips, color, dash, dashes, period, round, reach, faint, place, places }) {
      const { uniforms } = ink;
      gl.uniform2f(uniforms.span, from, to);
      gl.uniform3fv(uniforms.tips, tips);
      gl.uniform3f(uniforms.ink, color[0], color[1], color[2]);
      gl.uniform1fv(uniforms.dash, dash);
      gl.uniform1i(uniforms.dashes, dashes);
      gl.uniform1f(uniforms.period, period);
      gl.uniform1f(uniforms.round, round ? 1 : 0);
      gl.uniform2f(uniforms.reach, reach[0], reach[1]);
      gl.uniform2f(uniforms.faint, faint[0], faint[1]);
      gl.uniform2f(uniforms.layer, place, places);
      gl.drawElements(gl.TRIANGLES, 6 * (end - start + 1), gl.UNSIGNED_INT, 24 * start);
    },
    /** The card begins with it, while names and axes are drawn. */
    flush: () => gl.flush(),
    stop() {
      gl.getExtension("WEBGL_lose_context")?.loseContext();
    },
  };
}
